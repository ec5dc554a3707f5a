//! One answer of the model: reserve, write the intent down, ask, write the answer down.
//!
//! An answer found in the earlier records is used without asking, so no finished call is ever
//! paid again. A request that was in flight when its process died is sent again and says so.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use crate::{
    agent::{
        memo::{OVERFLOW, UNANSWERED},
        reins::Doing,
        session::{Session, Stop},
        words,
    },
    protocol::{
        event::{Kept, Level, Paid, What},
        message::Reply,
        outcome::Failure,
        request::{Request, Reservation},
        tool::ToolSpec,
        usage::{Micros, Usage},
    },
    provider::{
        model::{Ask, Cue, Delta, ErrorKind, ModelError},
        price::{self, Price},
    },
};

/// The most tokens of one answer; a reservation holds the worst case, so it must not be absurd.
const MAX_ANSWER: u64 = 16_384;
/// The least tokens of one answer that are worth asking for.
const MIN_ANSWER: u64 = 256;
/// How often a request is sent without an answer before the user is asked.
const MAX_UNANSWERED: u32 = 2;

/// What varies from request to request, besides the conversation.
#[derive(Clone, Debug)]
pub struct Form {
    /// The tools offered.
    pub tools: Arc<Vec<ToolSpec>>,
    /// The sampling temperature.
    pub temperature: Option<f32>,
    /// Whether the answer must call a tool.
    pub require_tool: bool,
    /// How many samples were taken before.
    pub sample: u32,
}

/// Why there is no answer.
enum Unanswered {
    Overflow(Stop),
    Stop(Stop),
}

impl<T: Into<Stop>> From<T> for Unanswered {
    fn from(stop: T) -> Self {
        Self::Stop(stop.into())
    }
}

impl Session {
    /// Returns the answer of a turn: the recorded one, or the model's.
    pub async fn ask(&mut self, turn: u32, form: &Form) -> Result<Reply, Stop> {
        let is_known = self.earlier.reply(turn).is_some();
        if !is_known {
            self.go_live().await?;
        }
        self.hear(turn, is_known).await?;
        self.context.make_room();
        for _ in 0..self.earlier.overflows(turn) {
            self.context.overflowed();
        }
        let reply = match self.earlier.reply(turn) {
            Some(kept) => self.recall(turn, kept)?,
            None => self.answer(turn, form).await?,
        };
        self.context.learn(reply.usage.prompt());
        self.progress.usage += reply.usage;
        Ok(reply)
    }

    fn recall(&self, turn: u32, kept: &Kept) -> Result<Reply, Stop> {
        let text = self.bench.journal.fetch(kept)?;
        serde_json::from_str(&text)
            .map_err(|error| Stop::broken(format!("the recorded reply of turn {turn}: {error}")))
    }

    /// Asks, and once more with a shorter conversation if the first request was too long.
    async fn answer(&mut self, turn: u32, form: &Form) -> Result<Reply, Stop> {
        let first = match self.send(turn, form).await {
            Ok(reply) => return Ok(reply),
            Err(Unanswered::Stop(stop)) => return Err(stop),
            Err(Unanswered::Overflow(stop)) => stop,
        };
        let before = self.context.tokens();
        self.context.overflowed();
        if self.context.tokens() >= before {
            return Err(self.no_room(first));
        }
        self.send(turn, form).await.map_err(|error| match error {
            Unanswered::Overflow(stop) => self.no_room(stop),
            Unanswered::Stop(stop) => stop,
        })
    }

    /// A fork whose parent has left it no room has failed alone; nobody else's means are broken.
    fn no_room(&self, stop: Stop) -> Stop {
        if self.assignment.fork.is_some() { Stop::unresolved(stop.why) } else { stop }
    }

    async fn send(&self, turn: u32, form: &Form) -> Result<Reply, Unanswered> {
        self.unanswered(turn).await?;
        let max_tokens = self.max_tokens();
        self.intend(turn, max_tokens).await?;
        let ask = self.request(turn, form, max_tokens);
        let start = Instant::now();
        let answer = self.patient(turn, &ask).await?;
        let took_ms = millis(start);
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) => return Err(self.failed(turn, &error).await),
        };
        let json = serde_json::to_string(&reply)
            .map_err(|error| Stop::broken(format!("a reply cannot be recorded: {error}")))?;
        let (stop, usage) = (reply.stop, reply.usage);
        let in_flight = self.earlier.was_in_flight(turn);
        self.record(What::ModelResult {
            turn,
            reply: self.bench.journal.keep(json)?,
            stop,
            usage,
            cost: self.cost(&usage),
            paid: if in_flight { Paid::MaybeTwice } else { Paid::Once },
            took_ms,
        })
        .await?;
        Ok(reply)
    }

    /// Says that a request was lost with its process, or refuses to lose it a third time.
    async fn unanswered(&self, turn: u32) -> Result<(), Stop> {
        let times = self.earlier.unanswered(turn);
        // A known price of nothing loses nothing.
        if times == 0 || self.bench.model.info().price == Some(Price::default()) {
            return Ok(());
        }
        if times < MAX_UNANSWERED {
            let text = words::lost(turn);
            return Ok(self.record(What::Note { level: Level::Warning, text }).await?);
        }
        let why = words::given_up(turn, times);
        let (usage, cost) = (Usage::default(), Micros(0));
        let error = format!("{UNANSWERED}{why}");
        self.record(What::ModelFailed { turn, error, usage, cost }).await?;
        Err(Stop { failure: Failure::Budget, why })
    }

    /// Reserves the worst case of the next request, and writes down that it will be sent.
    async fn intend(&self, turn: u32, max_tokens: u32) -> Result<(), Stop> {
        let (reserved, tokens) = loop {
            self.gate().await?;
            let held = self.reserve(u64::from(max_tokens)).await?;
            if !self.bench.reins.is_paused() {
                break held;
            }
            // Who waits holds nothing that others could use.
            self.request_up(Request::Release { agent: self.assignment.agent.clone() })?;
        };
        Ok(self.record(What::ModelIntent { turn, reserved, tokens }).await?)
    }

    /// Asks, and tells of each wait for another attempt, so that nobody wonders why nothing moves.
    async fn patient(&self, turn: u32, ask: &Ask) -> Result<Result<Reply, ModelError>, Stop> {
        let (tell, mut waits) = mpsc::unbounded_channel();
        let sink = move |delta| {
            if let Delta::Retry { wait, why, usage } = delta {
                // The receiver lives as long as the question.
                let _ = tell.send((wait, why, usage));
            }
        };
        let asking = |attempt, why| {
            let model = self.bench.model.name().to_owned();
            self.bench.reins.note(Doing::Asking { turn, model, attempt, why });
        };
        let mut attempt = 1;
        asking(attempt, None);
        let mut answer = self.bench.model.ask(ask, &sink, &self.bench.cancel);
        loop {
            tokio::select! {
                // Whatever came before the answer is taken in before it.
                biased;
                Some((wait, why, usage)) = waits.recv() => {
                    let text = words::again(wait, &why);
                    attempt += 1;
                    asking(attempt, Some(text.clone()));
                    self.record(What::Note { level: Level::Info, text }).await?;
                    if usage != Usage::default() {
                        // While this waits nothing is sent: the next attempt may be paid as well,
                        // so it needs a reservation of its own.
                        let cost = self.cost(&usage);
                        self.record(What::ModelFailed { turn, error: why, usage, cost }).await?;
                        self.intend(turn, ask.max_tokens).await?;
                    }
                }
                answer = &mut answer => return Ok(answer),
            }
        }
    }

    fn request(&self, turn: u32, form: &Form, max_tokens: u32) -> Ask {
        let cue = &self.assignment.cue;
        Ask {
            system: self.assignment.system.clone(),
            tools: form.tools.clone(),
            messages: self.context.messages(),
            max_tokens,
            temperature: form.temperature,
            require_tool: form.require_tool,
            inherited: self.context.inherited(),
            cue: Cue { turn, sample: cue.sample + form.sample, ..cue.clone() },
        }
    }

    /// Reserves the worst case of the next call, or says which budget does not hold it.
    async fn reserve(&self, max_tokens: u64) -> Result<(Micros, u64), Stop> {
        let prompt = self.context.worst_tokens();
        let price = self.bench.model.info().price;
        let cost = price.map_or(Micros(0), |price| price::worst_case(&price, prompt, max_tokens));
        let (reply, answer) = oneshot::channel();
        let agent = self.assignment.agent.clone();
        let tokens = prompt.saturating_add(max_tokens);
        self.bench.reins.note(Doing::Reserving);
        self.request_up(Request::Reserve { agent, cost, tokens, reply })?;
        match self.wait(answer).await? {
            Reservation::Granted => Ok((cost, tokens)),
            Reservation::Refused(why) => Err(Stop { failure: Failure::Budget, why }),
            Reservation::Spent(why) => Err(Stop { failure: Failure::NotResolved, why }),
        }
    }

    /// Records a failed call, gives its reservation back, and says how the agent ends.
    async fn failed(&self, turn: u32, error: &ModelError) -> Unanswered {
        let agent = self.assignment.agent.clone();
        // The dispatcher may be gone already; then nobody counts any more.
        let _ = self.bench.requests.send(Request::Release { agent });
        // A cancelled call may have been paid: without a record it stays in flight.
        if error.kind == ErrorKind::Cancelled {
            return Stop::cancelled().into();
        }
        let overflow = matches!(error.kind, ErrorKind::ContextOverflow { .. });
        let mark = if overflow { OVERFLOW } else { "" };
        let (usage, text) = (error.usage, format!("{mark}{error}"));
        let cost = self.cost(&usage);
        let record = What::ModelFailed { turn, error: text, usage, cost };
        if let Err(error) = self.record(record).await {
            return error.into();
        }
        let stop = Stop::broken(format!("{error}\nhint: {}", error.hint()));
        if overflow { Unanswered::Overflow(stop) } else { stop.into() }
    }

    /// Sends a question to the dispatcher.
    pub fn request_up(&self, request: Request) -> Result<(), Stop> {
        self.bench.requests.send(request).map_err(|_| Stop::cancelled())
    }

    /// Waits for the dispatcher's answer as long as the run is not stopping.
    pub async fn wait<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, Stop> {
        tokio::select! {
            answer = answer => answer.map_err(|_| Stop::cancelled()),
            () = self.bench.stop.cancelled() => Err(Stop::cancelled()),
            () = self.bench.cancel.cancelled() => Err(Stop::cancelled()),
        }
    }

    fn max_tokens(&self) -> u32 {
        let room = self.context.room().clamp(MIN_ANSWER, MAX_ANSWER);
        u32::try_from(room).unwrap_or(u32::MAX).min(self.bench.model.info().max_output)
    }

    fn cost(&self, usage: &Usage) -> Micros {
        let info = self.bench.model.info();
        info.price.map_or(Micros(0), |price| price::cost(&price, usage))
    }
}

/// Returns the milliseconds since `start`.
pub fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
