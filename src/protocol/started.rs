//! What changes of a run's beginning when it is taken up again.

use crate::protocol::event::RunStarted;

impl RunStarted {
    /// Notes that another model is asked from now on; a run that was played once stays marked.
    pub fn change_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
        self.scripted |= ["scripted:", "gold:"].iter().any(|played| name.starts_with(played));
    }
}
