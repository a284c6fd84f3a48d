# module torch.nn
class Module(Object):
  def identity(self, input):
    return input
class Identity(Module):
  def forward(self, input):
    return input
class Sequential(Module):
  def forward(self, input):
    for module in self:
      input = module(input)
    return input
class _ConvNd(Module):
  def padded(self, input, weight, dims):
    mode = getattr(self, "padding_mode", "zeros")
    if mode == "zeros":
      return input
    sizes = getattr(self, "_reversed_padding_repeated_twice", None)
    if sizes is None:
      sizes = []
      for axis in range(dims):
        torch.append(sizes, self.padding[dims - 1 - axis])
        torch.append(sizes, self.padding[dims - 1 - axis])
    return torch.pad(input, sizes, mode)
  def inner(self):
    if getattr(self, "padding_mode", "zeros") == "zeros":
      return self.padding
    return [0]
class Conv1d(_ConvNd):
  def forward(self, input):
    x = self.padded(input, self.weight, 1)
    return torch.conv1d(x, self.weight, self.bias, self.stride, self.inner(), self.dilation, self.groups)
class Conv2d(_ConvNd):
  def forward(self, input):
    x = self.padded(input, self.weight, 2)
    return torch.conv2d(x, self.weight, self.bias, self.stride, self.inner(), self.dilation, self.groups)
class Conv3d(_ConvNd):
  def forward(self, input):
    x = self.padded(input, self.weight, 3)
    return torch.conv3d(x, self.weight, self.bias, self.stride, self.inner(), self.dilation, self.groups)
class ConvTranspose1d(_ConvNd):
  def forward(self, input):
    return torch.conv_transpose1d(input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation)
class ConvTranspose2d(_ConvNd):
  def forward(self, input):
    return torch.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation)
class ConvTranspose3d(_ConvNd):
  def forward(self, input):
    return torch.conv_transpose3d(input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation)
class MaxPool1d(Module):
  def forward(self, input):
    if getattr(self, "return_indices", False):
      return torch.max_pool1d_with_indices(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
    return torch.max_pool1d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
class MaxPool2d(Module):
  def forward(self, input):
    if getattr(self, "return_indices", False):
      return torch.max_pool2d_with_indices(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
    return torch.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
class MaxPool3d(Module):
  def forward(self, input):
    if getattr(self, "return_indices", False):
      return torch.max_pool3d_with_indices(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
    return torch.max_pool3d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
class AvgPool1d(Module):
  def forward(self, input):
    return torch.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode)
class AvgPool2d(Module):
  def forward(self, input):
    return torch.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode)
class AvgPool3d(Module):
  def forward(self, input):
    return torch.avg_pool3d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode)
class LPPool1d(Module):
  def forward(self, input):
    return torch.avg_pool1d(input, self.kernel_size, self.stride, 0, self.ceil_mode)
class LPPool2d(Module):
  def forward(self, input):
    return torch.avg_pool2d(input, self.kernel_size, self.stride, 0, self.ceil_mode)
class AdaptiveAvgPool1d(Module):
  def forward(self, input):
    return torch.adaptive_avg_pool1d(input, self.output_size)
class AdaptiveAvgPool2d(Module):
  def forward(self, input):
    return torch.adaptive_avg_pool2d(input, self.output_size)
class AdaptiveAvgPool3d(Module):
  def forward(self, input):
    return torch.adaptive_avg_pool3d(input, self.output_size)
class AdaptiveMaxPool1d(Module):
  def forward(self, input):
    both = torch.adaptive_max_pool1d(input, self.output_size)
    return both if getattr(self, "return_indices", False) else both[0]
class AdaptiveMaxPool2d(Module):
  def forward(self, input):
    both = torch.adaptive_max_pool2d(input, self.output_size)
    return both if getattr(self, "return_indices", False) else both[0]
class AdaptiveMaxPool3d(Module):
  def forward(self, input):
    both = torch.adaptive_max_pool3d(input, self.output_size)
    return both if getattr(self, "return_indices", False) else both[0]
class _BatchNorm(Module):
  def forward(self, input):
    training = self.training or self.running_mean is None
    return torch.batch_norm(input, self.weight, self.bias, self.running_mean, self.running_var, training)
class BatchNorm1d(_BatchNorm):
  def forward(self, input):
    if torch.dim(input) != 2 and torch.dim(input) != 3:
      raise("expected 2D or 3D input")
    training = self.training or self.running_mean is None
    return torch.batch_norm(input, self.weight, self.bias, self.running_mean, self.running_var, training)
class BatchNorm2d(_BatchNorm):
  def forward(self, input):
    if torch.dim(input) != 4:
      raise(torch.format("expected 4D input (got {}D input)", torch.dim(input)))
    training = self.training or self.running_mean is None
    return torch.batch_norm(input, self.weight, self.bias, self.running_mean, self.running_var, training)
class BatchNorm3d(_BatchNorm):
  def forward(self, input):
    if torch.dim(input) != 5:
      raise(torch.format("expected 5D input (got {}D input)", torch.dim(input)))
    training = self.training or self.running_mean is None
    return torch.batch_norm(input, self.weight, self.bias, self.running_mean, self.running_var, training)
class SyncBatchNorm(_BatchNorm):
  pass
class _InstanceNorm(Module):
  def forward(self, input):
    batched = input
    if torch.dim(input) == self.rank():
      batched = torch.unsqueeze(input, 0)
    use = self.training or not self.track_running_stats
    y = torch.instance_norm(batched, self.weight, self.bias, self.running_mean, self.running_var, use)
    if torch.dim(input) == self.rank():
      return torch.squeeze(y, 0)
    return y
class InstanceNorm1d(_InstanceNorm):
  def rank(self):
    return 2
class InstanceNorm2d(_InstanceNorm):
  def rank(self):
    return 3
class InstanceNorm3d(_InstanceNorm):
  def rank(self):
    return 4
class GroupNorm(Module):
  def forward(self, input):
    return torch.group_norm(input, self.num_groups, self.weight, self.bias)
class LayerNorm(Module):
  def forward(self, input):
    return torch.layer_norm(input, self.normalized_shape, self.weight, self.bias)
class RMSNorm(Module):
  def forward(self, input):
    return torch.rms_norm(input, self.normalized_shape, self.weight)
class LocalResponseNorm(Module):
  def forward(self, input):
    return torch.local_response_norm(input)
class Linear(Module):
  def forward(self, input):
    return torch.linear(input, self.weight, self.bias)
class NonDynamicallyQuantizableLinear(Linear):
  pass
class Bilinear(Module):
  def forward(self, input1, input2):
    return torch.bilinear(input1, input2, self.weight, self.bias)
class Flatten(Module):
  def forward(self, input):
    return torch.flatten(input, self.start_dim, self.end_dim)
class Unflatten(Module):
  def forward(self, input):
    return torch.unflatten(input, self.dim, self.unflattened_size)
class Fold(Module):
  def forward(self, input):
    return torch.col2im(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
class Unfold(Module):
  def forward(self, input):
    return torch.im2col(input, self.kernel_size, self.dilation, self.padding, self.stride)
class PixelShuffle(Module):
  def forward(self, input):
    return torch.pixel_shuffle(input, self.upscale_factor)
class PixelUnshuffle(Module):
  def forward(self, input):
    return torch.pixel_unshuffle(input, self.downscale_factor)
class ChannelShuffle(Module):
  def forward(self, input):
    return torch.channel_shuffle(input, self.groups)
class Upsample(Module):
  def forward(self, input):
    return torch.upsample_nearest2d(input, self.size, self.scale_factor)
class UpsamplingNearest2d(Upsample):
  pass
class UpsamplingBilinear2d(Upsample):
  pass
class _ConstantPadNd(Module):
  def forward(self, input):
    return torch.pad(input, self.padding, "constant")
class ConstantPad1d(_ConstantPadNd):
  pass
class ConstantPad2d(_ConstantPadNd):
  pass
class ConstantPad3d(_ConstantPadNd):
  pass
class ZeroPad1d(_ConstantPadNd):
  pass
class ZeroPad2d(_ConstantPadNd):
  pass
class ZeroPad3d(_ConstantPadNd):
  pass
class _ReflectionPadNd(Module):
  def forward(self, input):
    return torch.pad(input, self.padding, "reflect")
class ReflectionPad1d(_ReflectionPadNd):
  pass
class ReflectionPad2d(_ReflectionPadNd):
  pass
class ReflectionPad3d(_ReflectionPadNd):
  pass
class _ReplicationPadNd(Module):
  def forward(self, input):
    return torch.pad(input, self.padding, "replicate")
class ReplicationPad1d(_ReplicationPadNd):
  pass
class ReplicationPad2d(_ReplicationPadNd):
  pass
class ReplicationPad3d(_ReplicationPadNd):
  pass
class _CircularPadNd(Module):
  def forward(self, input):
    return torch.pad(input, self.padding, "circular")
class CircularPad1d(_CircularPadNd):
  pass
class CircularPad2d(_CircularPadNd):
  pass
class CircularPad3d(_CircularPadNd):
  pass
class ReLU(Module):
  def forward(self, input):
    return torch.relu_(input) if getattr(self, "inplace", False) else torch.relu(input)
class ReLU6(Module):
  def forward(self, input):
    return torch.relu6_(input) if getattr(self, "inplace", False) else torch.relu6(input)
class LeakyReLU(Module):
  def forward(self, input):
    return torch.leaky_relu_(input) if getattr(self, "inplace", False) else torch.leaky_relu(input)
class SiLU(Module):
  def forward(self, input):
    return torch.silu_(input) if getattr(self, "inplace", False) else torch.silu(input)
class Hardswish(Module):
  def forward(self, input):
    return torch.hardswish_(input) if getattr(self, "inplace", False) else torch.hardswish(input)
class Hardsigmoid(Module):
  def forward(self, input):
    return torch.hardsigmoid_(input) if getattr(self, "inplace", False) else torch.hardsigmoid(input)
class ELU(Module):
  def forward(self, input):
    return torch.elu_(input) if getattr(self, "inplace", False) else torch.elu(input)
class GELU(Module):
  def forward(self, input):
    return torch.gelu(input)
class Sigmoid(Module):
  def forward(self, input):
    return torch.sigmoid(input)
class Tanh(Module):
  def forward(self, input):
    return torch.tanh(input)
class Mish(Module):
  def forward(self, input):
    return torch.mish(input)
class SELU(Module):
  def forward(self, input):
    return torch.selu(input)
class CELU(Module):
  def forward(self, input):
    return torch.celu(input)
class Hardtanh(Module):
  def forward(self, input):
    return torch.hardtanh(input)
class Softplus(Module):
  def forward(self, input):
    return torch.softplus(input)
class Softsign(Module):
  def forward(self, input):
    return torch.softsign(input)
class LogSigmoid(Module):
  def forward(self, input):
    return torch.log_sigmoid(input)
class Hardshrink(Module):
  def forward(self, input):
    return torch.hardshrink(input)
class Softshrink(Module):
  def forward(self, input):
    return torch.softshrink(input)
class Tanhshrink(Module):
  def forward(self, input):
    return torch.tanhshrink(input)
class Threshold(Module):
  def forward(self, input):
    return torch.threshold(input)
class RReLU(Module):
  def forward(self, input):
    return torch.rrelu(input)
class PReLU(Module):
  def forward(self, input):
    return torch.prelu(input, self.weight)
class GLU(Module):
  def forward(self, input):
    return torch.glu(input, self.dim)
class Softmax(Module):
  def forward(self, input):
    return torch.softmax(input, self.default_dim(input))
  def default_dim(self, input):
    if self.dim is not None:
      return self.dim
    rank = torch.dim(input)
    return 0 if rank == 0 or rank == 1 or rank == 3 else 1
class Softmin(Softmax):
  pass
class Softmax2d(Module):
  def forward(self, input):
    return torch.softmax(input, -3)
class LogSoftmax(Softmax):
  def forward(self, input):
    return torch.log_softmax(input, self.default_dim(input))
class Dropout(Module):
  def forward(self, input):
    return torch.dropout(input, self.p, self.training)
class Dropout1d(Module):
  def forward(self, input):
    return torch.feature_dropout(input, self.p, self.training)
class Dropout2d(Module):
  def forward(self, input):
    return torch.feature_dropout(input, self.p, self.training)
class Dropout3d(Module):
  def forward(self, input):
    return torch.feature_dropout(input, self.p, self.training)
class AlphaDropout(Module):
  def forward(self, input):
    return torch.alpha_dropout(input, self.p, self.training)
class FeatureAlphaDropout(Module):
  def forward(self, input):
    return torch.feature_alpha_dropout(input, self.p, self.training)
class Embedding(Module):
  def forward(self, input):
    return torch.embedding(self.weight, input)
class EmbeddingBag(Module):
  def forward(self, input, offsets=None):
    return torch.embedding_bag(self.weight, input, offsets, False, 0, False, None, self.include_last_offset)[0]
class CosineSimilarity(Module):
  def forward(self, x1, x2):
    return torch.cosine_similarity(x1, x2, self.dim)
class PairwiseDistance(Module):
  def forward(self, x1, x2):
    return torch.pairwise_distance(x1, x2, 2, 0, self.keepdim)
class RNNBase(Module):
  def weights(self):
    found = []
    for layer in range(self.num_layers):
      for direction in range(2 if self.bidirectional else 1):
        suffix = "_reverse" if direction == 1 else ""
        torch.append(found, getattr(self, torch.format("weight_ih_l{}{}", layer, suffix)))
        torch.append(found, getattr(self, torch.format("weight_hh_l{}{}", layer, suffix)))
        projection = getattr(self, torch.format("weight_hr_l{}{}", layer, suffix), None)
        if projection is not None:
          torch.append(found, projection)
    return found
  def run(self, function, input, hx):
    states = [] if hx is None else hx
    return function(input, states, self.weights(), self.bias, self.num_layers, 0, self.training, self.bidirectional, self.batch_first)
class LSTM(RNNBase):
  def forward(self, input, hx=None):
    y, h, c = self.run(torch.lstm, input, hx)
    return (y, (h, c))
class GRU(RNNBase):
  def forward(self, input, hx=None):
    return self.run(torch.gru, input, hx)
class RNN(RNNBase):
  def forward(self, input, hx=None):
    return self.run(torch.rnn_tanh, input, hx)
class LSTMCell(Module):
  def forward(self, input, hx=None):
    return torch.lstm_cell(input, hx, self.weight_ih, self.weight_hh)
class GRUCell(Module):
  def forward(self, input, hx=None):
    return torch.gru_cell(input, hx, self.weight_ih, self.weight_hh)
class RNNCell(Module):
  def forward(self, input, hx=None):
    return torch.rnn_tanh_cell(input, hx, self.weight_ih, self.weight_hh)
class MultiheadAttention(Module):
  def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True, is_causal=False):
    batched = torch.dim(query) == 3
    q, k, v = query, key, value
    if not batched:
      q, k, v = torch.unsqueeze(q, 1), torch.unsqueeze(k, 1), torch.unsqueeze(v, 1)
    if batched and getattr(self, "batch_first", False):
      q, k, v = torch.transpose(q, 0, 1), torch.transpose(k, 0, 1), torch.transpose(v, 0, 1)
    length, batch, size = torch.size(q)
    keys = torch.size(k, 0)
    if size != self.embed_dim:
      raise(torch.format("was expecting embedding dimension of {}, but got {}", self.embed_dim, size))
    if self.in_proj_weight is not None:
      w_q, w_k, w_v = torch.chunk(self.in_proj_weight, 3)
    else:
      w_q, w_k, w_v = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
    q = torch.linear(q, w_q)
    k = torch.linear(k, w_k)
    v = torch.linear(v, w_v)
    heads = self.num_heads
    each = self.head_dim
    q = torch.transpose(torch.view(q, [length, batch * heads, each]), 0, 1)
    k = torch.transpose(torch.view(k, [keys, batch * heads, each]), 0, 1)
    v = torch.transpose(torch.view(v, [keys, batch * heads, each]), 0, 1)
    q = torch.view(q, [batch, heads, length, each])
    k = torch.view(k, [batch, heads, keys, each])
    v = torch.view(v, [batch, heads, keys, each])
    y = torch.scaled_dot_product_attention(q, k, v)
    y = torch.view(torch.permute(y, [2, 0, 1, 3]), [length * batch, size])
    y = torch.linear(y, self.out_proj.weight, self.out_proj.bias)
    y = torch.view(y, [length, batch, size])
    if not batched:
      y = torch.squeeze(y, 1)
    elif getattr(self, "batch_first", False):
      y = torch.transpose(y, 0, 1)
    return (y, None)
class TransformerEncoderLayer(Module):
  def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
    x = src
    if self.norm_first:
      x = x + self.attend(self.norm1(x))
      return x + self.feed(self.norm2(x))
    x = self.norm1(x + self.attend(x))
    return self.norm2(x + self.feed(x))
  def attend(self, x):
    return self.dropout1(self.self_attn(x, x, x)[0])
  def feed(self, x):
    return self.dropout2(self.linear2(self.dropout(torch.relu(self.linear1(x)))))
class TransformerEncoder(Module):
  def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
    output = src
    for layer in self.layers:
      output = layer(output)
    if self.norm is not None:
      output = self.norm(output)
    return output
class TransformerDecoderLayer(Module):
  def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False):
    x = tgt
    if self.norm_first:
      n = self.norm1(x)
      x = x + self.dropout1(self.self_attn(n, n, n)[0])
      x = x + self.dropout2(self.multihead_attn(self.norm2(x), memory, memory)[0])
      return x + self.feed(self.norm3(x))
    x = self.norm1(x + self.dropout1(self.self_attn(x, x, x)[0]))
    x = self.norm2(x + self.dropout2(self.multihead_attn(x, memory, memory)[0]))
    return self.norm3(x + self.feed(x))
  def feed(self, x):
    return self.dropout3(self.linear2(self.dropout(torch.relu(self.linear1(x)))))
class TransformerDecoder(Module):
  def forward(self, tgt, memory):
    output = tgt
    for layer in self.layers:
      output = layer(output, memory)
    if self.norm is not None:
      output = self.norm(output)
    return output
class Transformer(Module):
  def forward(self, src, tgt):
    return self.decoder(tgt, self.encoder(src))
