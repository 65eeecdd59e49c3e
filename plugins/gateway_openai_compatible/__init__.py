"""Any server that speaks OpenAI's chat completions: vLLM, Ollama, llama.cpp, DashScope's compatible mode."""

from gateway_openai_compatible.settings import OpenAICompatibleSettings
from gateway_openai_compatible.upstream import OpenAICompatibleUpstream

__all__ = ["OpenAICompatibleSettings", "OpenAICompatibleUpstream"]
