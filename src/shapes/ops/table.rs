//! The table of operators.

use super::super::call::{Call, Outcome};
use super::{convolution, create, parts, pointwise, pooling, products, recurrent, reduce, reshape};

/// One row: operators that take the same arguments and whose shapes follow the same rule.
pub(super) struct Row {
    /// The operators' names.
    operators: &'static [&'static str],
    /// The names of their arguments.
    pub(super) names: &'static [&'static str],
    pub(super) function: fn(&mut Call<'_>) -> Outcome,
}

/// The row of an operator, and its name without the underscore of those that work in place.
pub(super) fn find(name: &str) -> Option<(&'static Row, &str)> {
    let exact = |name: &str| TABLE.iter().find(|row| row.operators.contains(&name));
    if let Some(row) = exact(name) {
        return Some((row, name));
    }
    let plain = name
        .strip_suffix('_')
        .filter(|plain| !plain.ends_with('_'))?;
    exact(plain).map(|row| (row, plain))
}

/// Every operator's name, for tests.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|row| row.operators.iter().copied())
}

macro_rules! rows {
    ($($($operator:literal)+ ($($name:literal),*) => $function:path;)+) => {
        &[$(Row { operators: &[$($operator),+], names: &[$($name),*], function: $function }),+]
    };
}

const TABLE: &[Row] = rows! {
    // convolutions
    "conv1d" "conv2d" "conv3d" "_convolution_mode" ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
        => convolution::convolution;
    "conv_transpose1d" "conv_transpose2d" "conv_transpose3d"
        ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation") => convolution::convolution;
    "_convolution" "convolution"
        ("input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups")
        => convolution::convolution;
    "im2col" ("self", "kernel_size", "dilation", "padding", "stride") => convolution::im2col;
    "col2im" ("self", "output_size", "kernel_size", "dilation", "padding", "stride") => convolution::col2im;
    // pooling and images
    "max_pool1d" "max_pool2d" "max_pool3d" "max_pool1d_with_indices" "max_pool2d_with_indices" "max_pool3d_with_indices"
        ("self", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices") => pooling::pool;
    "avg_pool1d" "avg_pool2d" "avg_pool3d" ("self", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
        => pooling::pool;
    "adaptive_avg_pool1d" "adaptive_avg_pool2d" "adaptive_avg_pool3d" "adaptive_max_pool1d" "adaptive_max_pool2d"
        "adaptive_max_pool3d" "_adaptive_avg_pool2d" "_adaptive_avg_pool3d" ("self", "output_size") => pooling::adaptive;
    "fractional_max_pool2d" "fractional_max_pool3d" ("self", "kernel_size", "output_size", "random_samples")
        => pooling::fractional;
    "max_unpool2d" "max_unpool3d" ("self", "indices", "output_size", "stride", "padding") => pooling::unpool;
    "upsample_nearest1d" "upsample_nearest2d" "upsample_nearest3d" "_upsample_nearest_exact1d" "_upsample_nearest_exact2d"
        "_upsample_nearest_exact3d" ("input", "output_size", "scale_factors") => pooling::upsample;
    "upsample_linear1d" "upsample_bilinear2d" "upsample_trilinear3d" "upsample_bicubic2d" "_upsample_bilinear2d_aa"
        "_upsample_bicubic2d_aa" ("input", "output_size", "align_corners", "scale_factors") => pooling::upsample;
    "pad" ("self", "pad", "mode", "value") => pooling::pad;
    "constant_pad_nd" ("self", "pad", "value") => pooling::pad;
    "reflection_pad1d" "reflection_pad2d" "reflection_pad3d" "replication_pad1d" "replication_pad2d" "replication_pad3d"
        ("self", "padding") => pooling::pad;
    "pixel_shuffle" ("self", "upscale_factor") => pooling::pixels;
    "pixel_unshuffle" ("self", "downscale_factor") => pooling::pixels;
    "grid_sampler" "grid_sampler_2d" "grid_sampler_3d" ("input", "grid") => pooling::grid;
    "affine_grid_generator" ("theta", "size", "align_corners") => pooling::grid;
    // normalization
    "batch_norm" ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
        => pointwise::channel_norm;
    "instance_norm" ("input", "weight", "bias", "running_mean", "running_var", "use_input_stats", "momentum", "eps")
        => pointwise::channel_norm;
    "group_norm" ("input", "num_groups", "weight", "bias", "eps") => pointwise::group_norm;
    "layer_norm" "rms_norm" ("input", "normalized_shape", "weight", "bias", "eps") => pointwise::layer_norm;
    // one by one
    "relu" "relu6" "sigmoid" "tanh" "gelu" "silu" "mish" "elu" "selu" "celu" "hardswish" "hardsigmoid" "hardtanh"
        "leaky_relu" "softplus" "softsign" "logsigmoid" "log_sigmoid" "hardshrink" "softshrink" "tanhshrink" "threshold"
        "rrelu" "swish" "neg" "exp" "exp2" "expm1" "log" "log2" "log10" "log1p" "sqrt" "rsqrt" "square" "abs" "sign" "sgn"
        "sin" "cos" "tan" "asin" "acos" "atan" "sinh" "cosh" "erf" "erfc" "erfinv" "floor" "ceil" "round" "trunc" "frac"
        "reciprocal" "logical_not" "bitwise_not" "isnan" "isinf" "isfinite" "clamp" "clip" "clamp_min" "clamp_max" "relu_6"
        "nan_to_num" "logit" "sinc" "digamma" "lgamma" "positive" "renorm" "zero" "fill" "tril" "triu" "flip" "roll" "rot90"
        "masked_scatter" "index_fill" "index_add" "index_copy" "index_put" "scatter" "scatter_add"
        "slice_scatter" "select_scatter" "copy" "normal" "uniform" "bernoulli" "fake_quantize_per_tensor_affine"
        "local_response_norm" "detach_copy" ("self") => pointwise::unary;
    "contiguous" "detach" "alias" "lift_fresh" "lift_fresh_copy" "lift" "requires_grad" "type_as" "resolve_conj"
        "resolve_neg" "data" "cpu" "cuda" "pin_memory" "set_" "_to_copy" "float" "double" "half" "bfloat16" "long" "bool"
        ("self", "dtype") => pointwise::same;
    "clone" ("self", "memory_format") => pointwise::same;
    "to" ("self", "dtype|device") => pointwise::same;
    "dropout" "feature_dropout" "alpha_dropout" "feature_alpha_dropout" "dropout1d" "dropout2d" "dropout3d"
        ("input", "p", "train") => pointwise::dropout;
    "zeros_like" "ones_like" "empty_like" "rand_like" "randn_like" "full_like" "randint_like" ("self") => pointwise::like;
    "prelu" ("self", "weight") => pointwise::prelu;
    "softmax" "log_softmax" "_softmax" "_log_softmax" "softmin" ("self", "dim", "dtype") => pointwise::along;
    "cumsum" "cumprod" "logcumsumexp" "cummax" "cummin" "glu" ("self", "dim") => pointwise::along;
    "sort" "argsort" ("self", "dim", "descending") => pointwise::along;
    // two together
    "add" "sub" "rsub" "mul" "multiply" "subtract" "div" "divide" "true_divide" "floor_divide" "remainder" "fmod" "pow"
        "maximum" "minimum" "atan2" "hypot" "logaddexp" "eq" "ne" "lt" "le" "gt" "ge" "logical_and" "logical_or"
        "logical_xor" "bitwise_and" "bitwise_or" "bitwise_xor" "__and__" "__or__" "__xor__" "isclose" "fmin" "fmax"
        "copysign" "xlogy" "float_power" "heaviside" ("self", "other", "alpha") => pointwise::elementwise;
    "masked_fill" ("self", "mask", "value") => pointwise::elementwise;
    "where" ("condition", "self", "other") => pointwise::elementwise;
    "addcmul" "addcdiv" ("self", "tensor1", "tensor2") => pointwise::elementwise;
    "lerp" ("self", "end", "weight") => pointwise::elementwise;
    // the same elements in another shape
    "flatten" ("self", "start_dim", "end_dim") => reshape::flatten;
    "unflatten" ("self", "dim", "sizes") => reshape::unflatten;
    "view" "_unsafe_view" ("self", "size") => reshape::view;
    "reshape" ("self", "shape") => reshape::view;
    "permute" ("self", "dims") => reshape::permute;
    "transpose" "swapaxes" "swapdims" ("self", "dim0", "dim1") => reshape::permute;
    "t" "numpy_T" "mT" "adjoint" ("self") => reshape::permute;
    "movedim" "moveaxis" ("self", "source", "destination") => reshape::permute;
    "squeeze" ("self", "dim") => reshape::squeeze;
    "unsqueeze" ("self", "dim") => reshape::unsqueeze;
    "cat" "concat" "concatenate" "hstack" "vstack" ("tensors", "dim") => reshape::cat;
    "stack" ("tensors", "dim") => reshape::stack;
    "chunk" ("self", "chunks", "dim") => parts::split;
    "split" "split_with_sizes" "split_copy" "unsafe_split" ("self", "split_size", "dim") => parts::split;
    "tensor_split" ("self", "sections", "dim") => parts::split;
    "unbind" ("self", "dim") => parts::split;
    "select" ("self", "dim", "index") => parts::select;
    "slice" ("self", "dim", "start", "end", "step") => parts::slice;
    "narrow" ("self", "dim", "start", "length") => parts::narrow;
    "expand" "broadcast_to" ("self", "size") => reshape::expand;
    "expand_as" "view_as" "reshape_as" ("self", "other") => reshape::expand;
    "repeat" ("self", "repeats") => reshape::repeat;
    "tile" ("self", "dims") => reshape::repeat;
    "repeat_interleave" ("self", "repeats", "dim") => reshape::repeat_interleave;
    "unfold" ("self", "dimension", "size", "step") => parts::windows;
    "index" "_unsafe_index" ("self", "indices") => parts::index;
    "index_select" ("self", "dim", "index") => parts::gather;
    "gather" ("self", "dim", "index") => parts::gather;
    "masked_select" ("self", "mask") => parts::gather;
    "diagonal" ("self", "offset", "dim1", "dim2") => parts::diagonal;
    "channel_shuffle" "native_channel_shuffle" ("self", "groups") => reshape::channel_shuffle;
    // over axes
    "sum" "mean" "prod" "nansum" "nanmean" "amax" "amin" "logsumexp" "all" "any" "count_nonzero"
        ("self", "dim", "keepdim", "dtype") => reduce::over;
    "var" "std" ("self", "dim", "unbiased", "keepdim") => reduce::over;
    "var_mean" "std_mean" ("self", "dim", "unbiased", "keepdim") => reduce::both;
    "norm" ("self", "p", "dim", "keepdim") => reduce::over;
    "linalg_vector_norm" "frobenius_norm" ("self", "ord", "dim", "keepdim") => reduce::over;
    "max" "min" "median" "nanmedian" "mode" ("self", "dim", "keepdim") => reduce::extreme;
    "kthvalue" ("self", "k", "dim", "keepdim") => reduce::extreme;
    "argmax" "argmin" ("self", "dim", "keepdim") => reduce::place;
    "topk" ("self", "k", "dim") => reduce::topk;
    // products
    "linear" ("input", "weight", "bias") => products::linear;
    "bilinear" ("input1", "input2", "weight", "bias") => products::bilinear;
    "matmul" "dot" "inner" ("self", "other") => products::matmul;
    "mm" "bmm" ("self", "mat2") => products::matmul;
    "mv" ("self", "vec") => products::matmul;
    "addmm" ("self", "mat1", "mat2") => products::add_product;
    "baddbmm" "addbmm" ("self", "batch1", "batch2") => products::add_product;
    "addmv" ("self", "mat", "vec") => products::add_product;
    "outer" "ger" ("self", "vec2") => products::outer;
    "scaled_dot_product_attention" ("query", "key", "value", "attn_mask", "dropout_p", "is_causal") => products::attention;
    "_native_multi_head_attention"
        ("query", "key", "value", "embed_dim", "num_head", "qkv_weight", "qkv_bias", "proj_weight", "proj_bias", "mask",
         "need_weights", "average_attn_weights") => products::native_attention;
    "_transformer_encoder_layer_fwd"
        ("src", "embed_dim", "num_heads", "qkv_weight", "qkv_bias", "proj_weight", "proj_bias", "use_gelu", "norm_first",
         "eps", "norm_weight_1", "norm_bias_1", "norm_weight_2", "norm_bias_2", "ffn_weight_1", "ffn_bias_1",
         "ffn_weight_2", "ffn_bias_2") => products::encoder_layer;
    "einsum" ("equation", "tensors") => products::einsum;
    "embedding" ("weight", "indices") => products::embedding;
    "embedding_bag" "_embedding_bag"
        ("weight", "indices", "offsets", "scale_grad_by_freq", "mode", "sparse", "per_sample_weights", "include_last_offset")
        => products::embedding_bag;
    "cdist" ("x1", "x2") => products::cdist;
    "cosine_similarity" ("x1", "x2", "dim", "eps") => products::similarity;
    "pairwise_distance" ("x1", "x2", "p", "eps", "keepdim") => products::similarity;
    // sequences
    "lstm" "gru" "rnn_tanh" "rnn_relu"
        ("input", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional", "batch_first")
        => recurrent::recurrent;
    "lstm_cell" "gru_cell" "rnn_tanh_cell" "rnn_relu_cell" ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh") => recurrent::cell;
    // from numbers
    "zeros" "ones" "empty" "rand" "randn" ("size") => create::filled;
    "full" ("size", "fill_value") => create::filled;
    "new_zeros" "new_ones" "new_empty" ("self", "size") => create::filled;
    "new_full" ("self", "size", "fill_value") => create::filled;
    "arange" () => create::arange;
    "linspace" "logspace" ("start", "end", "steps") => create::linspace;
    "eye" ("n", "m") => create::eye;
    "tensor" "scalar_tensor" "as_tensor" "prim.NumToTensor" "NumToTensor" ("data") => create::literal;
    "one_hot" ("self", "num_classes") => create::one_hot;
    "meshgrid" ("tensors") => create::meshgrid;
};
