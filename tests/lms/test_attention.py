"""Attention in half precision on a CPU, against its formula in float64."""

import pytest
import torch
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from ptx.lms.attention import NAME, widen

B, HEADS, KEY_HEADS, M, N, WIDTH = 3, 6, 2, 5, 11, 16


class Layer(torch.nn.Module):
    num_key_value_groups = HEADS // KEY_HEADS
    is_causal = True


def by_formula(query, key, value, attended, bias=0.0):
    """softmax(q k' / sqrt(width) + bias) v where `attended`, head by head; [b, n, heads, width]."""
    query, key, value = (x.double() for x in (query, key, value))
    found = torch.empty(B, M, HEADS, WIDTH, dtype=torch.double)
    for b in range(B):
        for head in range(HEADS):
            keys, values = (x[b, head // Layer.num_key_value_groups] for x in (key, value))
            scores = query[b, head] @ keys.T / WIDTH**0.5 + bias
            found[b, :, head] = scores.masked_fill(~attended[b, 0], -torch.inf).softmax(-1) @ values
    return found


@pytest.mark.parametrize("mask", ["true and false", "added"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_is_attention(dtype, mask, biased):
    random = torch.Generator().manual_seed(0)
    shapes = (B, HEADS, M, WIDTH), (B, KEY_HEADS, N, WIDTH), (B, KEY_HEADS, N, WIDTH)
    query, key, value = (torch.randn(shape, generator=random).to(dtype) for shape in shapes)
    bias = torch.randn(1, HEADS, M, N, generator=random).to(dtype)[:, :1].expand(1, HEADS, M, N)
    attended = torch.ones(B, 1, M, N, dtype=torch.bool)
    attended[0, :, :, :4] = attended[1, :, :3, -2:] = False
    given = attended if mask == "true and false" else torch.zeros(B, 1, M, N, dtype=dtype).masked_fill(~attended, -1e4)
    more = {"position_bias": bias} if biased else {}
    found, _ = AttentionInterface()[NAME](Layer(), query, key, value, given, scaling=WIDTH**-0.5, **more)
    assert found.dtype == dtype
    expected = by_formula(query, key, value, attended, bias[0, 0].double() if biased else 0.0)
    # Nothing is rounded to the half type but what comes out.
    assert torch.allclose(found.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)


def llama():
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2)
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_in_half_precision_attend_so_and_answer_alike(dtype):
    torch.manual_seed(0)
    network = llama().to(dtype).eval()
    ids = torch.randint(0, 40, (3, 9))
    ids_read = torch.ones_like(ids)
    ids_read[1, :4] = 0
    exact = llama()
    exact.load_state_dict(network.state_dict())
    with torch.no_grad():
        plain = network(ids, attention_mask=ids_read).logits
        widen(network)
        found = network(ids, attention_mask=ids_read).logits
        expected = exact.double().eval()(ids, attention_mask=ids_read).logits
    assert network.config._attn_implementation == NAME
    assert (found - expected).abs()[ids_read.bool()].max() <= 1.5 * (plain - expected).abs()[ids_read.bool()].max()


@pytest.mark.parametrize(
    "network",
    [
        llama(),
        llama().to("meta").bfloat16(),  # not on a CPU
        T5ForConditionalGeneration._from_config(
            T5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4), attn_implementation="eager"
        ).bfloat16(),
    ],
    ids=["float32", "another device", "another way of attention"],
)
def test_others_stay_as_they_are(network):
    before = network.config._attn_implementation
    widen(network)
    assert network.config._attn_implementation == before
