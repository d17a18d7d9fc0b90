import { type Disposable, type Event, type LogOutputChannel, type Uri, extensions, workspace } from "vscode";

const PYTHON_EXTENSION = "ms-python.python";

/** What is used of the Python extension's public API. That extension need not be installed. */
interface PythonApi {
  readonly environments: {
    readonly onDidChangeActiveEnvironmentPath: Event<unknown>;
    getActiveEnvironmentPath(resource?: Uri): EnvironmentPath;
    resolveEnvironment(path: EnvironmentPath): Promise<{ readonly executable: { readonly uri?: Uri } } | undefined>;
  };
}

interface EnvironmentPath {
  readonly id: string;
  readonly path: string;
}

/** The environment that the user has chosen in the Python extension. */
export class PythonEnvironment implements Disposable {
  private following: Disposable | undefined;

  /** `changed` is called when the user chooses another environment. */
  constructor(
    private readonly log: LogOutputChannel,
    private readonly changed: () => void,
  ) {}

  /** The environment's Python program, undefined without the extension or an environment. */
  async interpreter(): Promise<string | undefined> {
    const extension = extensions.getExtension<PythonApi>(PYTHON_EXTENSION);
    if (extension === undefined) {
      return undefined;
    }
    try {
      const { environments } = await extension.activate();
      this.following ??= environments.onDidChangeActiveEnvironmentPath(this.changed);
      const chosen = environments.getActiveEnvironmentPath(workspace.workspaceFolders?.[0]?.uri);
      const resolved = await environments.resolveEnvironment(chosen);
      return resolved?.executable.uri?.fsPath;
    } catch (error) {
      this.log.warn(`The Python extension did not name its environment: ${String(error)}`);
      return undefined;
    }
  }

  dispose(): void {
    this.following?.dispose();
  }
}
