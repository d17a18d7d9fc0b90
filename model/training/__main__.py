"""`python -m model.training STAGE --config FILE`: runs one stage; every stage can be stopped and started again.

`python -m model.training import --gguf FILE` writes somebody else's coder as a checkpoint.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from model.privacy import keep_library_files
from model.training import importing
from model.training.config import ConfigError, read_config
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
    "fresh": ("model.training.fresh", "FreshConfig"),
    "ship": ("model.training.ship", "ShipConfig"),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the configuration or the file to import cannot be used, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    keep_library_files()
    if options.stage == "import":
        try:
            importing.run(
                importing.ImportOptions(options.gguf, options.out, options.embedding_bits, options.exact_in)
            )
        except GgufError as problem:
            parser.exit(1, f"{problem}\n")
        return 0
    module_name, config_name = _STAGES[options.stage]
    module = importlib.import_module(module_name)
    try:
        config = read_config(getattr(module, config_name), options.config)
    except (ConfigError, OSError) as problem:
        parser.exit(1, f"{problem}\n")
    try:
        module.run(config)
    except ConfigError as problem:
        parser.exit(1, f"{problem}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    for name in sorted(_STAGES):
        stages.add_parser(name).add_argument(
            "--config", type=Path, required=True, help="TOML file of the stage"
        )
    importing.add_arguments(stages.add_parser("import", help="a GGUF file as a checkpoint"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
