"""Corpus, tokenizer, pretraining and adapter training of the embedded model; serving never imports this package."""
