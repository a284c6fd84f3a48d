//! Which named byte ranges does this file hold?
