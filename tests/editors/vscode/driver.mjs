// A browser that does what it is told: one JSON request per line on stdin, one JSON answer per line on stdout.
// Arguments: the folder whose node_modules holds playwright-core, and the Chromium program.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [packages, program] = process.argv.slice(2);
const { chromium } = createRequire(`${packages}/`)("playwright-core");
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const browser = await chromium.launch({ executablePath: program, args: flags });
const size = { width: 1080, height: 660 };
const titleHeight = 30; // the title says that this is a test
const page = await browser.newPage({ viewport: size });
// A workbench with the smoke-test driver calls these two.
await page.exposeFunction("codeAutomationLog", () => undefined);
await page.exposeFunction("codeAutomationExit", () => undefined);

const clip = { x: 0, y: titleHeight, width: size.width, height: size.height - titleHeight };
const methods = {
  open: async (url) => void (await page.goto(url)),
  press: async (...keys) => {
    for (const key of keys) {
      await page.keyboard.press(key);
    }
  },
  type: (text, delay) => page.keyboard.type(text, { delay }),
  click: (selector) => page.click(selector),
  hover: (selector) => page.hover(selector),
  evaluate: (code) => page.evaluate(code),
  resize: async (width, height) => {
    await page.setViewportSize({ width, height });
    Object.assign(clip, { width, height: height - titleHeight });
  },
  screenshot: async (path) => void (await page.screenshot({ path, clip })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { method, args } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await methods[method](...args)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
