import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { ServerMissing, type Surroundings, locateServer } from "../src/locate";

describe("locateServer", () => {
  let root: string;

  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), "locate-"));
  });
  afterEach(() => fs.rmSync(root, { recursive: true }));

  const program = (file: string, mode = 0o755): string => {
    const whole = path.join(root, file);
    fs.mkdirSync(path.dirname(whole), { recursive: true });
    fs.writeFileSync(whole, "", { mode });
    return whole;
  };
  const around = (more: Partial<Surroundings>): Surroundings => ({
    configured: "",
    interpreter: undefined,
    environment: {},
    home: path.join(root, "home"),
    platform: "linux",
    untrusted: [],
    ...more,
  });

  test("takes the setting, then the Python environment, then PATH, then what uv or pipx installed", () => {
    const places = around({
      configured: program("set/server"),
      interpreter: path.join(root, "env", "python"),
      environment: { PATH: path.join(root, "path"), PIPX_BIN_DIR: path.join(root, "pipx") },
    });
    const inOrder = [
      places.configured,
      ...["env", "path", "pipx", "home/.local/bin"].map((folder) => program(`${folder}/hef-lsp`)),
    ];
    for (const expected of inOrder) {
      assert.equal(locateServer(expected === places.configured ? places : { ...places, configured: "" }), expected);
      fs.rmSync(expected);
    }
    assert.throws(() => locateServer({ ...places, configured: "" }), ServerMissing);
  });

  test("finds a conda environment's program on Windows", () => {
    const server = program("conda/Scripts/hef-lsp.exe");
    const interpreter = path.join(root, "conda", "python.exe");
    assert.equal(locateServer(around({ interpreter, platform: "win32" })), server);
  });

  test("never searches a relative entry of PATH", () => {
    program("bin/hef-lsp");
    const before = process.cwd();
    process.chdir(root);
    try {
      assert.throws(() => locateServer(around({ environment: { PATH: `bin${path.delimiter}.` } })), ServerMissing);
    } finally {
      process.chdir(before);
    }
  });

  test("says what to run when there is none", () => {
    assert.throws(() => locateServer(around({})), /pipx install .*uv tool install .*hef-lsp\.path/);
  });

  test("a setting that names no program is not passed over", () => {
    const environment = { PATH: path.dirname(program("path/hef-lsp")) };
    for (const configured of [path.join(root, "nothing"), root, program("plain", 0o644)]) {
      assert.throws(() => locateServer(around({ configured, environment })), /which cannot be run/);
    }
  });

  test("runs nothing that lies in a workspace without trust, also not through a link", () => {
    const server = program("workspace/bin/hef-lsp");
    const link = path.join(root, "home", ".local", "bin", "hef-lsp");
    fs.mkdirSync(path.dirname(link), { recursive: true });
    fs.symlinkSync(server, link);
    const places = around({ environment: { PATH: path.dirname(server) } });
    assert.equal(locateServer(places), server);
    const untrusted = [path.join(root, "workspace")];
    assert.throws(() => locateServer({ ...places, untrusted }), ServerMissing);
    assert.throws(() => locateServer({ ...places, untrusted, configured: server }), /trust the workspace/);
    fs.rmSync(link);
    const elsewhere = program("home/.local/bin/hef-lsp");
    assert.equal(locateServer({ ...places, untrusted }), elsewhere);
  });
});
