"""`python -m model.training STAGE --config FILE`: runs one stage; every stage can be stopped and started again."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from model.privacy import keep_library_files
from model.training.config import ConfigError, read_config

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
    """Exit codes: 0 done, 1 the configuration cannot be used, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m model.training", description=__doc__)
    parser.add_argument("stage", choices=sorted(_STAGES))
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the stage")
    options = parser.parse_args(arguments)
    keep_library_files()
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


if __name__ == "__main__":
    sys.exit(main())
