"""How fast each layer learns: factors on the learning rate, as --layer-lr says."""

from finetune.errors import UsageError
from finetune.networks.network import Network


def layer_factors(texts: tuple[str, ...], network: Network, trained: tuple[str, ...]) -> dict[str, float]:
    """Return layer -> factor on the learning rate from `conv=0.1`, `fc6=0.5`, …, or from one number.

    A name means the layer, or all layers whose names start with it; the longest match counts. A number is the factor
    per trained layer of depth: 1 for the last layer, its square for the third from the end. Raises UsageError.
    """
    if len(texts) == 1 and "=" not in texts[0]:
        decay = _factor(texts[0], texts[0])
        return {name: decay**depth for depth, name in enumerate(reversed(trained))}
    factors: dict[str, float] = {}
    prefixes = {}
    for text in texts:
        prefix, _, number = text.partition("=")
        prefixes[prefix.strip()] = _factor(number, text)
    for prefix in sorted(prefixes, key=len):
        known = network.weighted_layers()
        named = [prefix] if prefix in known else [name for name in known if prefix and name.startswith(prefix)]
        if not named:
            network.check_layers((prefix,), "--layer-lr")
        factors |= dict.fromkeys(named, prefixes[prefix])
    return {name: factors[name] for name in trained if name in factors}


def _factor(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1
    if not 0 <= value <= 1000:
        raise UsageError(f"--layer-lr: expected LAYER=FACTOR or one factor, from 0 to 1000, not {text!r}")
    return value
