"""How many inputs go through a network at once: as many as fit into some bytes beside the weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from ptx.lms.families import matrix_of

MOST = 256  # inputs of a batch
BYTES = 48 * 2**20  # what the largest layer's values may take
SCORES = 32 * 2**20  # and the scores


@dataclass(frozen=True)
class Sizes:
    """What the memory of a forward pass depends on; `item` is the bytes of a number."""

    vocabulary: int
    hidden: int
    intermediate: int
    heads: int
    item: int

    def layer(self, length: int) -> int:
        """What one input of so many tokens takes at the least in a layer: some vectors of each width and the weights of
        attention."""
        return self.item * (length * (4 * self.hidden + 2 * self.intermediate) + self.heads * length**2)

    @property
    def scores(self) -> int:
        """And behind the last layer: its scores in float32, twice."""
        return 2 * 4 * self.vocabulary


def sizes_of(network: PreTrainedModel) -> Sizes:
    """The sizes of a network, by its configuration; of one that says less, the usual proportions."""
    config = network.config.get_text_config()
    vocabulary, width = matrix_of(network).shape
    hidden = getattr(config, "hidden_size", None) or width
    names = ("intermediate_size", "ffn_dim", "d_ff", "n_inner", "encoder_ffn_dim", "ffn_hidden_size", "hidden_dim")
    found = [size for name in names if isinstance(size := getattr(config, name, None), int)]
    heads = getattr(config, "num_attention_heads", None)
    heads = heads if isinstance(heads, int) else max(1, hidden // 64)
    return Sizes(vocabulary, hidden, found[0] if found else 4 * hidden, heads, network.dtype.itemsize)


def batches(lengths: Sequence[int], sizes: Sizes, *, limit: int = BYTES) -> Iterator[slice]:
    """Parts of inputs that are sorted by their length, each of at most `MOST`, and of `limit` bytes when all are padded
    to its longest, `SCORES` of them scores; a single one may be larger. Pure: the same inputs are always cut alike."""
    most = min(MOST, min(limit, SCORES) // sizes.scores)
    start = 0
    for end, length in enumerate(lengths):
        if end > start and (end - start >= most or (end - start + 1) * sizes.layer(length) > limit):
            yield slice(start, end)
            start = end
    if start < len(lengths):
        yield slice(start, len(lengths))
