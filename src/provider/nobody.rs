//! The model of runs that ask none: every agent's work is done by somebody else's agent.

use futures_util::future::{self, BoxFuture};
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{message::Reply, task::EditFormat},
    provider::{
        model::{Ask, ErrorKind, Model, ModelError, ModelInfo, Sink},
        price::Price,
    },
};

/// Its name.
pub const NAME: &str = "none";

/// Answers nothing and costs nothing.
#[derive(Debug)]
pub struct Nobody(ModelInfo);

impl Default for Nobody {
    fn default() -> Self {
        Self(ModelInfo {
            identity: NAME.to_owned(),
            window: u64::from(u32::MAX),
            max_output: 1,
            price: Some(Price::default()),
            edit_format: EditFormat::Tools,
            scripted: false,
            counted: true,
            concurrency: 1,
        })
    }
}

impl Model for Nobody {
    fn name(&self) -> &str {
        NAME
    }

    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn ask<'a>(
        &'a self,
        _ask: &'a Ask,
        _sink: Sink<'a>,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let text = "this run has no model, and an agent asks one";
        let mut error = ModelError::new(ErrorKind::UnknownModel, text);
        error.advice = Some("resume with --model NAME".to_owned());
        Box::pin(future::ready(Err(error)))
    }
}
