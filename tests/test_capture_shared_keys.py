"""Keys that an earlier layer made, and padding by joined zeros: tokens stay those of one stream, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from mmviz.capture import capture

WIDTH, HEADS, SIZE = 16, 2, 8


def heads_of(x: Tensor) -> Tensor:
    """Returns ``[batch, token, width]`` as ``[batch, head, token, size]``."""
    return x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)


class SharingLayer(nn.Module):
    """Attends to keys and values of its own, or to those of an earlier layer."""

    def __init__(self, has_keys: bool) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.norm = nn.LayerNorm(WIDTH)
        self.query, self.output = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH) if has_keys else None
        self.value = nn.Linear(WIDTH, WIDTH) if has_keys else None

    def forward(self, x: Tensor, shared: list[tuple[Tensor, Tensor]]) -> Tensor:
        y = self.norm(x)
        if self.key is not None and self.value is not None:
            shared.append((heads_of(self.key(y)), heads_of(self.value(y))))
        key, value = shared[-1]
        attended = nn.functional.scaled_dot_product_attention(heads_of(self.query(y)), key, value)
        return x + self.output(attended.transpose(1, 2).flatten(2))


class Sharing(nn.Module):
    """Two layers with keys of their own and two that take those of the second, over a stack of two copies (AltUp)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.eye(2) + torch.randn(2, 2) / 9)
        self.layers = nn.ModuleList(SharingLayer(number < 2) for number in range(4))

    def forward(self, x: Tensor) -> Tensor:
        copies, shared = torch.stack([x, x * 0.5]), []
        for layer in self.layers:
            copies = torch.matmul(copies.permute(1, 2, 3, 0), self.mix).permute(3, 0, 1, 2)
            copies = copies + (layer(copies[0], shared) - copies[0])
        return copies.mean(0)


def test_keys_of_an_earlier_layer_are_tokens_of_the_same_stream() -> None:
    torch.manual_seed(0)
    model, x = Sharing().eval(), torch.randn(1, 7, WIDTH)
    projected: list[Tensor] = []
    for layer in model.layers:
        layer.query.register_forward_hook(lambda _, given, output: projected.append(output))
    model.layers[1].key.register_forward_hook(lambda _, given, output: projected.append(output))  # type: ignore[union-attr]
    with torch.no_grad(), capture(model) as result:
        model(x)
    record = result.record()
    assert [attn_map.stack for attn_map in record.maps] == ["layers"] * 4 and len(record.streams) == 1
    assert [attn_map.layer for attn_map in record.maps] == [0, 1, 2, 3]
    assert all(attn_map.queries == attn_map.keys for attn_map in record.maps)
    queries, key = [projected[0], projected[2], projected[3], projected[4]], projected[1]  # keys come before queries
    for number in (1, 2, 3):
        scores = heads_of(queries[number]) @ heads_of(key).transpose(-1, -2) / math.sqrt(SIZE)
        np.testing.assert_allclose(record.maps[number].weights, scores.softmax(-1)[0], atol=2e-6)
    assert np.allclose(result.rollout([0]).sum(), 1, atol=1e-5)


class Chunked(nn.Module):
    """Each chunk attends to itself and to the chunk before it; both are padded by joined zeros, heads are an axis."""

    CHUNK = 4

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.scale = nn.Parameter(torch.rand(SIZE) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, _ = x.shape
        query, key, value = (part(x).unflatten(-1, (HEADS, SIZE)) for part in (self.query, self.key, self.value))
        query = query * self.scale
        chunks = -(-count // self.CHUNK)
        rest = chunks * self.CHUNK - count
        query = torch.cat([query, query.new_zeros(batch, rest, HEADS, SIZE)], 1)
        query = query.reshape(batch, chunks, self.CHUNK, HEADS, SIZE)
        key, value = (self.context(part, rest) for part in (key, value))
        scores = torch.matmul(query.permute(0, 3, 1, 2, 4), key.permute(0, 3, 1, 4, 2))  # [batch, head, chunk, q, k]
        place = torch.arange(2 * self.CHUNK) + torch.arange(chunks)[:, None] * self.CHUNK - self.CHUNK
        scores = scores.masked_fill(~((place >= 0) & (place < count))[:, None], -1e9)
        weights = scores.softmax(-1).permute(0, 2, 1, 3, 4).reshape(-1, self.CHUNK, 2 * self.CHUNK)
        values = value.permute(0, 1, 3, 2, 4).reshape(-1, 2 * self.CHUNK, SIZE)
        attended = torch.bmm(weights, values).reshape(batch, chunks, HEADS, self.CHUNK, SIZE)
        return attended.permute(0, 1, 3, 2, 4).reshape(batch, -1, WIDTH)[:, :count]

    def context(self, part: Tensor, rest: int) -> Tensor:
        """Returns keys or values of each chunk and the one before it, ``[batch, chunk, place, head, size]``."""
        left, right = (part.new_zeros(len(part), size, HEADS, SIZE) for size in (self.CHUNK, rest))
        return torch.cat([left, part, right], 1).unfold(1, 2 * self.CHUNK, self.CHUNK).movedim(-1, 2)


def test_chunks_padded_by_joined_zeros_are_windows_of_one_stream() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(WIDTH, WIDTH), Chunked()).eval(), torch.randn(1, 10, WIDTH)
    with torch.no_grad(), capture(model) as result:
        model(x)
        tokens = model[0](x)
        chunked = model[1]
        query, key = (part(tokens).unflatten(-1, (HEADS, SIZE))[0] for part in (chunked.query, chunked.key))
    (attn_map,) = result.record().maps
    assert attn_map.weights.shape == (HEADS, 10, 10) and attn_map.queries == attn_map.keys
    scores = torch.einsum("qhd,khd->hqk", query * chunked.scale, key).detach()
    chunk = torch.arange(10) // Chunked.CHUNK
    is_near = (chunk[:, None] == chunk) | (chunk[:, None] == chunk + 1)
    expected = scores.masked_fill(~is_near, -math.inf).softmax(-1)
    np.testing.assert_allclose(attn_map.weights, expected, atol=2e-6)
