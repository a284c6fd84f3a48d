# module torchvision.models.vision_transformer
class MLPBlock(Sequential):
  pass
class EncoderBlock(Module):
  def forward(self, input):
    x = self.ln_1(input)
    x = self.self_attention(x, x, x)[0]
    x = self.dropout(x)
    x = x + input
    y = self.mlp(self.ln_2(x))
    return x + y
class Encoder(Module):
  def forward(self, input):
    input = input + self.pos_embedding
    return self.ln(self.layers(self.dropout(input)))
class VisionTransformer(Module):
  def forward(self, x):
    n, c, h, w = torch.size(x)
    p = self.patch_size
    if h != self.image_size:
      raise(torch.format("Wrong image height! Expected {} but got {}!", self.image_size, h))
    if w != self.image_size:
      raise(torch.format("Wrong image width! Expected {} but got {}!", self.image_size, w))
    x = self.conv_proj(x)
    x = torch.reshape(x, [n, self.hidden_dim, (h // p) * (w // p)])
    x = torch.permute(x, [0, 2, 1])
    token = torch.expand(self.class_token, [n, -1, -1])
    x = torch.cat([token, x], 1)
    x = self.encoder(x)
    x = torch.select(x, 1, 0)
    return self.heads(x)
# module torchvision.models.swin_transformer
class PatchMerging(Module):
  def forward(self, x):
    x = patch_merging_pad(x)
    x = self.norm(x)
    return self.reduction(x)
class PatchMergingV2(Module):
  def forward(self, x):
    x = patch_merging_pad(x)
    x = self.reduction(x)
    return self.norm(x)
def patch_merging_pad(x):
  H, W = torch.size(x, -3), torch.size(x, -2)
  x = torch.pad(x, [0, 0, 0, W % 2, 0, H % 2], "constant")
  half = torch.slice(torch.slice(x, -3, 0, None, 2), -2, 0, None, 2)
  return torch.cat([half, half, half, half], -1)
class ShiftedWindowAttention(Module):
  def bias(self):
    table = torch.index(self.relative_position_bias_table, [self.relative_position_index])
    n = self.window_size[0] * self.window_size[1]
    table = torch.permute(torch.view(table, [n, n, -1]), [2, 0, 1])
    return torch.unsqueeze(table, 0)
  def forward(self, x):
    bias = self.bias()
    B, H, W, C = torch.size(x)
    wh, ww = self.window_size[0], self.window_size[1]
    pad_r = (ww - W % ww) % ww
    pad_b = (wh - H % wh) % wh
    y = torch.pad(x, [0, 0, 0, pad_r, 0, pad_b], "constant")
    PH, PW = H + pad_b, W + pad_r
    sh = 0 if wh >= PH else self.shift_size[0]
    sw = 0 if ww >= PW else self.shift_size[1]
    shifted = sh + sw > 0
    if shifted:
      y = torch.roll(y, [0 - sh, 0 - sw], [1, 2])
    windows = (PH // wh) * (PW // ww)
    y = torch.view(y, [B, PH // wh, wh, PW // ww, ww, C])
    y = torch.reshape(torch.permute(y, [0, 1, 3, 2, 4, 5]), [B * windows, wh * ww, C])
    qkv = torch.linear(y, self.qkv.weight, self.qkv.bias)
    heads = self.num_heads
    qkv = torch.reshape(qkv, [B * windows, wh * ww, 3, heads, C // heads])
    qkv = torch.permute(qkv, [2, 0, 3, 1, 4])
    q, k, v = torch.select(qkv, 0, 0), torch.select(qkv, 0, 1), torch.select(qkv, 0, 2)
    attn = self.scores(q, k) + bias
    if shifted:
      mask = torch.zeros([windows, wh * ww, wh * ww])
      attn = torch.view(attn, [B, windows, heads, wh * ww, wh * ww])
      attn = attn + torch.unsqueeze(torch.unsqueeze(mask, 1), 0)
      attn = torch.view(attn, [-1, heads, wh * ww, wh * ww])
    attn = torch.softmax(attn, -1)
    attn = torch.dropout(attn, self.attention_dropout, self.training)
    y = torch.transpose(torch.matmul(attn, v), 1, 2)
    y = torch.reshape(y, [B * windows, wh * ww, C])
    y = torch.linear(y, self.proj.weight, self.proj.bias)
    y = torch.dropout(y, self.dropout, self.training)
    y = torch.view(y, [B, PH // wh, PW // ww, wh, ww, C])
    y = torch.reshape(torch.permute(y, [0, 1, 3, 2, 4, 5]), [B, PH, PW, C])
    if shifted:
      y = torch.roll(y, [sh, sw], [1, 2])
    return torch.slice(torch.slice(y, 1, 0, H), 2, 0, W)
  def scores(self, q, k):
    return torch.matmul(q, torch.transpose(k, -2, -1))
class ShiftedWindowAttentionV2(ShiftedWindowAttention):
  def bias(self):
    table = torch.view(self.cpb_mlp(self.relative_coords_table), [-1, self.num_heads])
    table = torch.index(table, [self.relative_position_index])
    n = self.window_size[0] * self.window_size[1]
    table = torch.permute(torch.view(table, [n, n, -1]), [2, 0, 1])
    return torch.unsqueeze(16 * torch.sigmoid(table), 0)
  def scores(self, q, k):
    return torch.matmul(q, torch.transpose(k, -2, -1)) * torch.exp(self.logit_scale)
class SwinTransformerBlock(Module):
  def forward(self, x):
    x = x + self.stochastic_depth(self.attn(self.norm1(x)))
    return x + self.stochastic_depth(self.mlp(self.norm2(x)))
class SwinTransformerBlockV2(Module):
  def forward(self, x):
    x = x + self.stochastic_depth(self.norm1(self.attn(x)))
    return x + self.stochastic_depth(self.norm2(self.mlp(x)))
class SwinTransformer(Module):
  def forward(self, x):
    x = self.features(x)
    x = self.norm(x)
    x = self.permute(x)
    x = self.avgpool(x)
    x = self.flatten(x)
    return self.head(x)
# module torchvision.models.maxvit
class MBConv(Module):
  def forward(self, x):
    res = self.proj(x)
    x = self.stochastic_depth(self.layers(x))
    return res + x
class RelativePositionalMultiHeadAttention(Module):
  def forward(self, x):
    B, G, P, D = torch.size(x)
    H, DH = self.n_heads, self.head_dim
    qkv = self.to_qkv(x)
    q, k, v = torch.chunk(qkv, 3, -1)
    q = torch.permute(torch.reshape(q, [B, G, P, H, DH]), [0, 1, 3, 2, 4])
    k = torch.permute(torch.reshape(k, [B, G, P, H, DH]), [0, 1, 3, 2, 4])
    v = torch.permute(torch.reshape(v, [B, G, P, H, DH]), [0, 1, 3, 2, 4])
    scores = torch.einsum("B G H I D, B G H J D -> B G H I J", [q, k])
    bias = torch.index(self.relative_position_bias_table, [torch.view(self.relative_position_index, [-1])])
    bias = torch.permute(torch.view(bias, [P, P, -1]), [2, 0, 1])
    scores = torch.softmax(scores + torch.unsqueeze(bias, 0), -1)
    out = torch.einsum("B G H I J, B G H J D -> B G H I D", [scores, v])
    out = torch.reshape(torch.permute(out, [0, 1, 3, 2, 4]), [B, G, P, D])
    return self.merge(out)
class SwapAxes(Module):
  def forward(self, x):
    return torch.swapaxes(x, self.a, self.b)
class WindowPartition(Module):
  def forward(self, x, p):
    B, C, H, W = torch.size(x)
    x = torch.reshape(x, [B, C, H // p, p, W // p, p])
    x = torch.permute(x, [0, 2, 4, 3, 5, 1])
    return torch.reshape(x, [B, (H // p) * (W // p), p * p, C])
class WindowDepartition(Module):
  def forward(self, x, p, h, w):
    B, G, PP, C = torch.size(x)
    x = torch.reshape(x, [B, h, w, p, p, C])
    x = torch.permute(x, [0, 5, 1, 3, 2, 4])
    return torch.reshape(x, [B, C, h * p, w * p])
class PartitionAttentionLayer(Module):
  def forward(self, x):
    gh, gw = self.grid_size[0] // self.p, self.grid_size[1] // self.p
    if self.grid_size[0] % self.p != 0 or self.grid_size[1] % self.p != 0:
      raise("Grid size must be divisible by partition size")
    x = self.partition_op(x, self.p)
    x = self.partition_swap(x)
    x = x + self.stochastic_dropout(self.attn_layer(x))
    x = x + self.stochastic_dropout(self.mlp_layer(x))
    x = self.departition_swap(x)
    return self.departition_op(x, self.p, gh, gw)
class MaxVitLayer(Module):
  def forward(self, x):
    for layer in self.layers:
      x = layer(x)
    return x
class MaxVitBlock(Module):
  def forward(self, x):
    for layer in self.layers:
      x = layer(x)
    return x
class MaxVit(Module):
  def forward(self, x):
    x = self.stem(x)
    for block in self.blocks:
      x = block(x)
    return self.classifier(x)
