"""Which models are of one family: made by the same people from the same data, they err alike."""

from __future__ import annotations

import re

# What a model's name begins with → who made it. Other names are a family of their own.
MAKERS = {
    "gpt": "openai", "o": "openai", "chatgpt": "openai", "davinci": "openai",
    "claude": "anthropic",
    "gemini": "google", "gemma": "google", "palm": "google",
    "llama": "meta", "codellama": "meta",
    "mistral": "mistral", "mixtral": "mistral", "codestral": "mistral", "ministral": "mistral",
    "magistral": "mistral", "devstral": "mistral", "pixtral": "mistral",
    "qwen": "qwen", "qwq": "qwen",
    "phi": "microsoft",
    "deepseek": "deepseek",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")


def family_of(model: str) -> str:
    """The family of `PROVIDER:NAME`. `openai:gpt-5` and `openai:o3` are one, and so are
    `ollama:llama3.2` and `openai:meta-llama/Llama-3` behind a URL of one's own."""
    name = model.partition(":")[2] or model
    name = name.partition("?")[0].rsplit("/", 1)[-1].lower()
    word = _WORD.match(name)
    return MAKERS.get(word[0], word[0]) if word else name
