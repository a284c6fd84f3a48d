//! Limits that hostile files run into before memory does.

/// Upper bounds, each spent before the memory it stands for is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Zip records.
    pub records: usize,
    /// Bytes of one pickle (inflated).
    pub pickle_bytes: usize,
    /// Bytes of a safetensors or npy header.
    pub header_bytes: usize,
    /// Opcodes of one pickle.
    pub pickle_steps: u64,
    /// Bytes owned by the values of one pickle.
    pub pickle_memory: usize,
    /// Nodes of the tree that a checkpoint is unfolded into (shared values count at each place they show).
    pub tree_nodes: usize,
    /// Depth of that tree.
    pub tree_depth: usize,
    /// Bytes of one inflated storage, or of one tensor copied out of its storage.
    pub tensor_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 4_000_000,
            pickle_bytes: 1 << 30,
            header_bytes: 256 << 20,
            pickle_steps: 200_000_000,
            pickle_memory: 2 << 30,
            tree_nodes: 20_000_000,
            tree_depth: 256,
            tensor_bytes: 64 << 30,
        }
    }
}
