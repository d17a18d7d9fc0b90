"""Settings of the model, each defined once: `lsp_server.settings` composes them and generates the editors' copies."""

from __future__ import annotations

from dataclasses import dataclass, field

CONTEXT_MODES = ("none", "snippets", "pseudo", "hybrid", "blocks", "auto")
EMBEDDED = "embedded"  # the large one where the package has it and the machine carries it, else the tiny one
EMBEDDED_TINY, EMBEDDED_LARGE = "embedded-tiny", "embedded-large"
# Of a setting whose metadata has `automatic`: the device and the coder decide (`model.reading`).
AUTOMATIC = -1
RENAMED = {"memory.enabled": "recall.enabled"}  # by 0.2; the old names are still accepted


@dataclass(frozen=True)
class ModelSettings:
    """What the user chooses about the model. Field metadata: `help`, and `min`/`max` or `choices`; `automatic` is
    allowed besides."""

    name: str = field(
        default=EMBEDDED,
        metadata={
            "help": "The generator: 'embedded', a folder with a safetensors checkpoint, or a Hugging Face hub id such "
            "as Qwen/Qwen2.5-Coder-0.5B. In an editor the tiny embedded model answers until the generator is loaded, "
            "and for good where it would not meet model.deadlineMs on this machine. 'embedded-tiny' is that one alone; "
            "'embedded-large' insists on the large one of the package, however slow."
        },
    )
    revision: str = field(
        default="main",
        metadata={"help": "Branch, tag or commit of a hub checkpoint. A full commit hash pins it for good."},
    )
    offline: bool = field(
        default=True,
        metadata={
            "help": "Never reach for the network: a hub checkpoint is fetched by `hef-lsp --models pull NAME`. Off: an "
            "editor fetches what is missing, while the tiny embedded model answers."
        },
    )
    adapter: str = field(
        default="",
        metadata={
            "help": "Folder of the HEF adapter for the generator. Empty: the one beside the checkpoint, if any."
        },
    )
    server: str = field(
        default="",
        metadata={
            "help": "Address of a server of your own that writes in place of this machine, such as "
            "https://coder.example.org (vLLM 0.30 or later, or llama.cpp). It is sent the code around the cursor and "
            "what was found for it. model.name names the model that it serves, of which the tokenizer must be here. "
            "While it does not answer, the tiny embedded model does."
        },
    )
    server_key_file: str = field(
        default="",
        metadata={
            "help": "File with the key for model.server, one line; the variable HEF_SERVER_KEY goes before it."
        },
    )
    device: str = field(
        default="auto",
        metadata={
            "help": "Where the model runs. auto: CUDA when there is one.",
            "choices": ("auto", "cpu", "cuda"),
        },
    )
    engine: str = field(
        default="auto",
        metadata={
            "help": "What computes: onnx (ONNX Runtime, on the CPU) or torch (needs hef-lsp[cuda]). auto: torch on "
            "CUDA, ONNX Runtime on the CPU.",
            "choices": ("auto", "onnx", "torch"),
        },
    )
    dtype: str = field(
        default="auto",
        metadata={
            "help": "Number format of the weights. auto: bfloat16 on CUDA, int8 on the CPU.",
            "choices": ("auto", "int8", "float32", "bfloat16", "float16"),
        },
    )
    threads: int = field(
        default=0,
        metadata={"help": "CPU threads of the model; 0 is as many as measured best.", "min": 0, "max": 256},
    )
    recent_places: int = field(
        default=4,
        metadata={
            "help": "Most places in documents whose keys and values are kept, so that coming back to one costs no "
            "prefill.",
            "min": 1,
            "max": 16,
        },
    )
    recent_places_bytes: int = field(
        default=150_000_000,  # two places of a coder of 135M that reads blocks, all of those of smaller ones
        metadata={
            "help": "On the CPU, most bytes of memory for these places; two are held in any case.",
            "min": 0,
            "max": 1_000_000_000_000,
        },
    )
    context: str = field(
        default="auto",
        metadata={
            "help": "What of the repository the model reads: nothing, retrieved text, pseudo-tokens, pseudo-tokens "
            "with some exact text, or blocks, which are keys and values of text that were computed before. auto: what "
            "measured best for the checkpoint.",
            "choices": CONTEXT_MODES,
        },
    )
    context_tokens: int = field(
        default=AUTOMATIC,
        metadata={
            "help": "Longest prompt, in tokens; the checkpoint's own limit applies too. -1: 960, and 2,048 on CUDA for "
            "a coder that was trained on 16,384 positions or more.",
            "min": 128,
            "max": 32768,
            "automatic": AUTOMATIC,
        },
    )
    suffix_tokens: int = field(
        default=AUTOMATIC,
        metadata={
            "help": "Most tokens of the text behind the cursor. -1: 192, and 512 where model.contextTokens is 2,048 by "
            "itself.",
            "min": 0,
            "max": 16384,
            "automatic": AUTOMATIC,
        },
    )
    max_tokens: int = field(
        default=48, metadata={"help": "Longest completion, in tokens.", "min": 1, "max": 512}
    )
    deadline_ms: float = field(
        default=1000.0,
        metadata={
            "help": "Milliseconds after which a completion ends with what it has.",
            "min": 10.0,
            "max": 60000.0,
        },
    )
    idle_minutes: float = field(
        # Longer than reading code or talking takes, shorter than a meeting; who comes back waits for nothing.
        default=30.0,
        metadata={
            "help": "Minutes without a key, an edit or a request after which the model's memory is given back. The "
            "next key loads it again, and until then the tiny embedded model answers, which stays; 0 keeps it.",
            "min": 0.0,
            "max": 10080.0,
        },
    )
    pseudo_tokens: int = field(
        default=64,
        metadata={"help": "Most pseudo-tokens in a prompt (modes pseudo and hybrid).", "min": 0, "max": 256},
    )
    block_tokens: int = field(
        default=1024,
        metadata={
            "help": "Most tokens of blocks, of the repository and of the document's far parts (mode blocks).",
            "min": 0,
            "max": 16384,
        },
    )
    window_tokens: int = field(
        default=448,
        metadata={
            "help": "Most tokens of the document around the cursor where the rest of it is blocks (mode blocks).",
            "min": 64,
            "max": 32768,
        },
    )
    snippet_tokens: int = field(
        default=AUTOMATIC,
        metadata={
            "help": "Most tokens of retrieved text (mode snippets). -1: 512, and 768 where model.contextTokens is "
            "2,048 by itself.",
            "min": 0,
            "max": 16384,
            "automatic": AUTOMATIC,
        },
    )
    hybrid_text_tokens: int = field(
        default=256,  # with 384 the likelihood of held-out middles was the same (model/LOG.md)
        metadata={
            "help": "Most tokens of retrieved text beside the pseudo-tokens (mode hybrid).",
            "min": 0,
            "max": 4096,
        },
    )
    signature_tokens: int = field(
        default=48,
        metadata={
            "help": "Most tokens of exact signatures of what else was found (mode hybrid).",
            "min": 0,
            "max": 4096,
        },
    )


@dataclass(frozen=True)
class DraftSettings:
    """Drafting: the same completions in fewer forward passes."""

    enabled: bool = field(
        default=True,
        metadata={
            "help": "Guess tokens from the repository, the installed packages and earlier completions, and let the "
            "model verify many at once. Changes how fast it is, not what is written."
        },
    )
    nodes: int = field(
        default=64,
        metadata={
            "help": "Most tokens guessed at a time; fewer where they cost more than they save.",
            "min": 1,
            "max": 256,
        },
    )
    packages: bool = field(
        default=True,
        metadata={
            "help": "Guess from the standard library and from the installed packages that the code imports, too: "
            "Python's, those of `node_modules` and of Go's and Rust's caches."
        },
    )


@dataclass(frozen=True)
class RecallSettings:
    """The repository's own text beside the weights."""

    enabled: bool = field(
        default=True,
        metadata={
            "help": "Take exact names and whole lines from the document and the repository where that is likelier to "
            "be right than what the model would write. For another model than the embedded one, "
            "`python -m model.training recall` fits it."
        },
    )


@dataclass(frozen=True)
class BlockSettings:
    """Keys and values of the repository's text that are kept, so that reading it again costs no forward pass."""

    disk_bytes: int = field(
        default=512_000_000,
        metadata={
            "help": "Most bytes on disk, for each repository and model, of what the model has computed of the "
            "repository's text; 0 keeps nothing there.",
            "min": 0,
            "max": 1_000_000_000_000,
        },
    )
    memory_bytes: int = field(
        default=48_000_000,  # blocks of four prompts of a coder of 135M; others are read from the disk
        metadata={
            "help": "Most bytes in memory of what the model has computed of the repository's text.",
            "min": 0,
            "max": 1_000_000_000_000,
        },
    )
    share: float = field(
        default=1.0,
        metadata={
            "help": "Share of a text's tokens whose keys and values are kept, those that the model expected least.",
            "min": 0.05,
            "max": 1.0,
        },
    )
    ahead: int = field(
        default=8,
        metadata={
            "help": "Places in each document that you open, spread over it, whose blocks are computed before you go "
            "there, while nobody types (mode blocks); 0 computes none.",
            "min": 0,
            "max": 64,
        },
    )


DEFAULT_MODEL = ModelSettings()
DEFAULT_DRAFTS = DraftSettings()
DEFAULT_BLOCKS = BlockSettings()
