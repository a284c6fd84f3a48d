//! Memory that begins with a cache line: a vector that lies in two lines is loaded twice.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Numbers from the start of a cache line on.
#[derive(Debug, Default)]
pub(super) struct Aligned<R> {
    memory: Vec<R>,
    start: usize,
}

impl<R: Copy + Default> Aligned<R> {
    /// At least so many, with whatever was left in them.
    pub(super) fn of(&mut self, len: usize) -> &mut [R] {
        let line = LINE.div_ceil(size_of::<R>().max(1));
        if self.memory.len() < len + line {
            self.memory.resize(len + line, R::default());
        }
        self.start = self.memory.as_ptr().align_offset(LINE).min(line);
        &mut self.memory[self.start..]
    }

    /// Those of the last call.
    pub(super) fn get(&self) -> &[R] {
        &self.memory[self.start..]
    }
}
