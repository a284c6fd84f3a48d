//! What kind of layer a weight belongs to, and so what its axes mean.

/// Kind of layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Convolution over 1, 2 or 3 axes: weight `[out, in/groups, k...]`.
    Conv(usize),
    /// Transposed convolution over 1, 2 or 3 axes: weight `[in, out/groups, k...]`.
    ConvTranspose(usize),
    /// Fully connected: weight `[out, in]`.
    Linear,
    /// Batch (or instance) normalization with running statistics: one number per channel.
    BatchNorm,
    /// Layer or group normalization: one number per feature or channel.
    Norm,
    /// A table of vectors: weight `[num, dim]`.
    Embedding,
    /// Anything else.
    Other,
}

/// Why a layer is taken for what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The file has the module's class.
    Class(String),
    /// The user says so.
    Flag,
    /// The shapes of the weight and of the tensors beside it; a state dict holds no classes.
    Shape,
}

/// What one axis of a weight counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Filters, that is, output channels.
    Filter,
    /// Input channels that one filter sees.
    Channel,
    /// Input channels of a transposed convolution.
    TransposedIn,
    /// Output maps (per group) of a transposed convolution.
    TransposedOut,
    /// Planes of the kernel.
    KernelDepth,
    /// Rows of the kernel.
    KernelRow,
    /// Columns of the kernel (its positions, for a 1-d convolution).
    KernelColumn,
    /// Outputs of a fully connected layer.
    Output,
    /// Inputs of a fully connected layer.
    Input,
    /// Vectors of an embedding.
    Vector,
    /// Components of an embedding's vectors.
    Component,
    /// Channels of a normalization.
    NormChannel,
    /// Of unknown meaning, by position.
    Plain(usize),
}

impl Axis {
    /// A word for manifests, as PyTorch's documentation uses it.
    pub fn word(self) -> String {
        let word = match self {
            Axis::Filter => "out_channels",
            Axis::Channel => "in_channels/groups",
            Axis::TransposedIn => "in_channels",
            Axis::TransposedOut => "out_channels/groups",
            Axis::KernelDepth => "kernel_depth",
            Axis::KernelRow => "kernel_height",
            Axis::KernelColumn => "kernel_width",
            Axis::Output => "out_features",
            Axis::Input => "in_features",
            Axis::Vector => "num_embeddings",
            Axis::Component => "embedding_dim",
            Axis::NormChannel => "num_features",
            Axis::Plain(axis) => return format!("axis_{axis}"),
        };
        word.to_owned()
    }

    /// The letter that stands for an index along this axis.
    pub fn letter(self) -> String {
        let letter = match self {
            Axis::Filter | Axis::TransposedOut | Axis::Output => 'o',
            Axis::Channel | Axis::TransposedIn | Axis::Input => 'i',
            Axis::KernelDepth => 'z',
            Axis::KernelRow => 'y',
            Axis::KernelColumn => 'x',
            Axis::Vector => 't',
            Axis::Component => 'j',
            Axis::NormChannel => 'c',
            Axis::Plain(axis) => return format!("i{axis}"),
        };
        letter.to_string()
    }
}

/// What identification looks at.
#[derive(Clone, Copy, Debug)]
pub struct Clues<'a> {
    /// Full name of the layer.
    pub name: &'a str,
    /// The module's class, where the file has one.
    pub class: Option<&'a str>,
    /// Shape of the weight.
    pub shape: &'a [usize],
    /// Shape of the bias, where there is one.
    pub bias: Option<&'a [usize]>,
    /// Whether there is a `running_mean`.
    pub running_mean: bool,
    /// Whether the user says that it is a transposed convolution.
    pub transposed: bool,
}

impl Kind {
    /// Names the layer: by the user's word, else by the module's class, else by shapes.
    pub fn identify(clues: &Clues<'_>) -> (Self, Evidence) {
        let dims = clues
            .shape
            .len()
            .checked_sub(2)
            .filter(|dims| (1..=3).contains(dims));
        if let (true, Some(dims)) = (clues.transposed, dims) {
            return (Self::ConvTranspose(dims), Evidence::Flag);
        }
        if let Some(class) = clues.class
            && let Some(kind) = Self::of_class(class, clues.shape.len())
        {
            return (kind, Evidence::Class(class.to_owned()));
        }
        (Self::of_shapes(clues, dims), Evidence::Shape)
    }

    /// By the last part of a class name; `None` for classes that say nothing, or that do not fit the weight's rank.
    fn of_class(class: &str, rank: usize) -> Option<Self> {
        let name = class.rsplit('.').next().unwrap_or(class);
        let name = name.strip_prefix("Lazy").unwrap_or(name);
        let dims = |suffix: &str| match suffix {
            "1d" => Some(1),
            "2d" => Some(2),
            "3d" => Some(3),
            _ => None,
        };
        if let Some(dims) = name.strip_prefix("ConvTranspose").and_then(dims) {
            return (rank == dims + 2).then_some(Self::ConvTranspose(dims));
        }
        if let Some(dims) = name.strip_prefix("Conv").and_then(dims) {
            return (rank == dims + 2).then_some(Self::Conv(dims));
        }
        match name {
            "Linear" | "NonDynamicallyQuantizableLinear" => (rank == 2).then_some(Self::Linear),
            "Embedding" | "EmbeddingBag" => (rank == 2).then_some(Self::Embedding),
            "LayerNorm" | "GroupNorm" | "RMSNorm" => Some(Self::Norm),
            name if name.contains("BatchNorm") || name.starts_with("InstanceNorm") => {
                (rank == 1).then_some(Self::BatchNorm)
            }
            _ => None,
        }
    }

    fn of_shapes(clues: &Clues<'_>, dims: Option<usize>) -> Self {
        let shape = clues.shape;
        if let Some(dims) = dims {
            // a bias has one number per output map: shape[0] of a convolution, groups * shape[1] of a transposed one
            let transposed = clues.bias.is_some_and(|bias| {
                bias.len() == 1 && bias[0] != shape[0] && shape[1] > 0 && bias[0] % shape[1] == 0
            });
            return if transposed {
                Self::ConvTranspose(dims)
            } else {
                Self::Conv(dims)
            };
        }
        match shape.len() {
            1 if clues.running_mean => Self::BatchNorm,
            _ if !shape.is_empty() && clues.bias == Some(shape) => Self::Norm,
            2 if clues.bias.is_none() && has_embedding_name(clues.name) => Self::Embedding,
            2 => Self::Linear,
            _ => Self::Other,
        }
    }

    /// What the axes of a weight of this kind and rank count.
    pub fn axes(self, rank: usize) -> Vec<Axis> {
        const KERNEL: [Axis; 3] = [Axis::KernelDepth, Axis::KernelRow, Axis::KernelColumn];
        let kernel = |dims: usize| KERNEL[3 - dims..].iter().copied();
        match self {
            Self::Conv(dims) => [Axis::Filter, Axis::Channel]
                .into_iter()
                .chain(kernel(dims))
                .collect(),
            Self::ConvTranspose(dims) => [Axis::TransposedIn, Axis::TransposedOut]
                .into_iter()
                .chain(kernel(dims))
                .collect(),
            Self::Linear => vec![Axis::Output, Axis::Input],
            Self::Embedding => vec![Axis::Vector, Axis::Component],
            Self::BatchNorm => vec![Axis::NormChannel],
            Self::Norm if rank == 1 => vec![Axis::NormChannel],
            Self::Norm | Self::Other => (0..rank).map(Axis::Plain).collect(),
        }
    }

    /// `Conv2d`, `Linear`, ...; `None` for [`Kind::Other`].
    pub fn name(self) -> Option<&'static str> {
        const CONV: [&str; 3] = ["Conv1d", "Conv2d", "Conv3d"];
        const TRANSPOSED: [&str; 3] = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"];
        match self {
            Self::Conv(dims) => CONV.get(dims.wrapping_sub(1)).copied(),
            Self::ConvTranspose(dims) => TRANSPOSED.get(dims.wrapping_sub(1)).copied(),
            Self::Linear => Some("Linear"),
            Self::BatchNorm => Some("BatchNorm"),
            Self::Norm => Some("LayerNorm or GroupNorm"),
            Self::Embedding => Some("Embedding"),
            Self::Other => None,
        }
    }
}

/// Words by which models call their embeddings; only a weight without bias is asked.
fn has_embedding_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or(&name);
    name.contains("embed")
        || matches!(
            last,
            "emb" | "wte" | "wpe" | "tok_emb" | "pos_emb" | "shared"
        )
}

#[cfg(test)]
mod tests {
    use super::{Clues, Evidence, Kind};

    const CLUES: Clues<'static> = Clues {
        name: "x",
        class: None,
        shape: &[],
        bias: None,
        running_mean: false,
        transposed: false,
    };

    fn by_shape(shape: &[usize], bias: Option<&[usize]>) -> Kind {
        let (kind, evidence) = Kind::identify(&Clues {
            shape,
            bias,
            ..CLUES
        });
        assert_eq!(evidence, Evidence::Shape);
        kind
    }

    #[test]
    fn shapes_tell_most_layers() {
        assert_eq!(by_shape(&[192, 3, 5, 5], Some(&[192])), Kind::Conv(2));
        assert_eq!(by_shape(&[16, 8, 3], None), Kind::Conv(1));
        assert_eq!(by_shape(&[16, 8, 3, 3, 3], Some(&[16])), Kind::Conv(3));
        assert_eq!(by_shape(&[16, 8, 3, 3], Some(&[8])), Kind::ConvTranspose(2));
        assert_eq!(by_shape(&[6, 2, 3, 3], Some(&[4])), Kind::ConvTranspose(2));
        assert_eq!(by_shape(&[32, 1, 3, 3], Some(&[32])), Kind::Conv(2));
        assert_eq!(by_shape(&[10, 50], Some(&[10])), Kind::Linear);
        assert_eq!(by_shape(&[64], Some(&[64])), Kind::Norm);
        assert_eq!(by_shape(&[3, 5], Some(&[3, 5])), Kind::Norm);
        assert_eq!(by_shape(&[64], None), Kind::Other);
        assert_eq!(by_shape(&[], None), Kind::Other);
        assert_eq!(by_shape(&[1; 9], None), Kind::Other);
    }

    #[test]
    fn classes_and_flags_go_over_shapes() {
        let class = Some("torch.nn.modules.conv.ConvTranspose2d");
        let clues = Clues {
            class,
            shape: &[8, 8, 3, 3],
            ..CLUES
        };
        assert_eq!(Kind::identify(&clues).0, Kind::ConvTranspose(2));
        let clues = Clues {
            transposed: true,
            shape: &[8, 8, 3, 3],
            ..CLUES
        };
        assert_eq!(
            Kind::identify(&clues),
            (Kind::ConvTranspose(2), Evidence::Flag)
        );
        // a class that cannot have this weight is no evidence
        let clues = Clues {
            class: Some("a.Conv2d"),
            shape: &[4, 4],
            ..CLUES
        };
        assert_eq!(Kind::identify(&clues), (Kind::Linear, Evidence::Shape));
    }
}
