"""`hef-lsp-train STAGE --config FILE`, or in a checkout `python -m model.training STAGE --config FILE`: runs one stage,
which can be stopped and started again. A configuration that the package has can be named: `--config frozen`.

An adapter for a coder of your own choice, in one command (`--plan` says before what it takes):

    hef-lsp-train adapter --config frozen --coder Qwen/Qwen2.5-Coder-1.5B --repositories ~/code --out ~/adapter

`hef-lsp-train import --gguf FILE` writes somebody else's coder as a checkpoint.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from model.checkpoint.files import WeightsError
from model.privacy import keep_library_files
from model.training.config import ConfigError, find_config, read_config, shipped_configs
from model.training.gguf_file import GgufError

# Stage -> module and the dataclass of its settings; modules are imported when their stage runs.
_STAGES = {
    "corpus": ("model.training.corpus", "CorpusConfig"),
    "pretrain": ("model.training.pretrain", "PretrainConfig"),
    "samples": ("model.training.samples", "SamplesConfig"),
    "adapter": ("model.training.adapter", "AdapterStage"),
    "ablate": ("model.training.ablate", "AblateConfig"),
    "validate": ("model.training.validate", "ValidateConfig"),
    "recall": ("model.training.recall", "RecallConfig"),
    "confidence": ("model.training.confidence", "ConfidenceConfig"),
    "foreign": ("model.training.foreign", "ForeignConfig"),
    "fresh": ("model.training.fresh", "FreshConfig"),
    "ship": ("model.training.ship", "ShipConfig"),
}
_OWN_CURSORS = 400  # of each of the user's repositories, which are few


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the configuration or the file to import cannot be used, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    keep_library_files()
    try:
        if options.stage == "import":
            importing = importlib.import_module("model.training.importing")
            importing.run(
                importing.ImportOptions(options.gguf, options.out, options.embedding_bits, options.exact_in)
            )
        else:
            _run(options)
    except (ConfigError, GgufError, WeightsError, OSError) as problem:
        parser.exit(1, f"{problem}\n")
    except ModuleNotFoundError as problem:
        parser.exit(1, f"training needs {problem.name}: pipx install 'hef-lsp[train]'\n")
    return 0


def _run(options: argparse.Namespace) -> None:
    module_name, config_name = _STAGES[options.stage]
    module = importlib.import_module(module_name)
    told = _told(options) if options.stage == "adapter" else {}
    config = read_config(getattr(module, config_name), find_config(options.config), told)
    if options.stage == "adapter":
        _adapter(module, config, options)
    else:
        module.run(config)


def _told(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says over the configuration."""
    told = {name: getattr(options, name) for name in ("coder", "out", "samples", "start", "seconds")}
    if options.out and not options.samples:
        told["samples"] = str(Path(options.out) / "samples")
    return {name: value for name, value in told.items() if value is not None}


def _adapter(module: Any, config: Any, options: argparse.Namespace) -> None:
    if options.repositories:
        samples = importlib.import_module("model.training.samples")
        made = samples.SamplesConfig(
            out=config.samples, own=Path(options.repositories), per_repository=_OWN_CURSORS
        )
        samples.run(made)
    if options.plan:
        print(module.plan(config))
    else:
        module.run(config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hef-lsp-train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    for name in sorted(_STAGES):
        stage = stages.add_parser(name)
        known = ", ".join(shipped_configs())
        stage.add_argument("--config", required=True, help=f"TOML file of the stage, or one of: {known}")
        if name == "adapter":
            _add_adapter_arguments(stage)
    _add_import_arguments(stages.add_parser("import", help="a GGUF file as a checkpoint"))
    return parser


def _add_adapter_arguments(stage: argparse.ArgumentParser) -> None:
    stage.add_argument(
        "--plan", action="store_true", help="say what is trained and the memory it takes, no more"
    )
    stage.add_argument("--coder", help="hub id, folder, embedded-tiny or embedded-large")
    stage.add_argument("--repositories", help="folder of your repositories, or one: samples are made of them")
    stage.add_argument("--samples", help="folder of samples that are there already")
    stage.add_argument("--out", help="folder of the run; the same command again goes on with it")
    stage.add_argument("--start", help="folder of an adapter to go on from")
    stage.add_argument("--seconds", type=float, help="how long, if nothing else ends it before")


def _add_import_arguments(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--gguf", type=Path, required=True, help="a Llama in Q4_1")
    stage.add_argument("--out", type=Path, default=Path("model/pretrained/large"), help="folder to write")
    stage.add_argument("--embedding-bits", type=int, choices=range(4, 9), default=8)
    stage.add_argument("--exact-in", type=Path, metavar="FOLDER", help="code whose tokens are not rounded")


if __name__ == "__main__":
    sys.exit(main())
