//! Reads what a provider says when it refuses or fails, in the dialects that are about:
//! `{"type":"error","error":{type,message}}`, `{"error":{code,message,type}}` (llama.cpp, OpenAI),
//! `{"error":"…"}` (Ollama), `{"detail":…}`, `{"message":…}` (vLLM), plain text, HTML.

use std::time::Duration;

use serde_json::Value;

use crate::provider::model::{ErrorKind, ModelError};

const LONGEST_MESSAGE: usize = 600;

/// Returns the error behind an answer with a status other than success.
pub fn classify(status: u16, body: &str, retry_after: Option<Duration>) -> ModelError {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let said = Said::of(&parsed, body);
    let kind = said.kind(Some(status), retry_after);
    ModelError::new(kind, format!("status {status}: {}", said.message))
}

/// Returns the error behind an error object inside an answer that began well.
pub fn in_stream(error: &Value) -> ModelError {
    let said = Said::of(error, "");
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    ModelError::new(said.kind(status, None), format!("failed while answering: {}", said.message))
}

/// Reads a `retry-after` header in seconds; dates are not worth a parser here.
pub fn retry_after(header: Option<&str>) -> Option<Duration> {
    let seconds: f64 = header?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

struct Said {
    message: String,
    /// Type and code, in one lower-case text.
    tags: String,
    used: Option<u64>,
    window: Option<u64>,
}

impl Said {
    fn of(parsed: &Value, body: &str) -> Self {
        let error = match &parsed["error"] {
            Value::Null => parsed,
            error => error,
        };
        let candidates = [&error["message"], error, &error["detail"], &parsed["detail"]];
        let message = candidates.iter().find_map(|candidate| candidate.as_str());
        let fallback = || match &error["detail"] {
            Value::Null => body.to_owned(),
            detail => detail.to_string(),
        };
        let message = clip(&message.map_or_else(fallback, str::to_owned));
        let tag = |key: &str| error[key].as_str().unwrap_or_default().to_lowercase();
        Self {
            message,
            tags: format!("{} {}", tag("type"), tag("code")),
            used: error["n_prompt_tokens"].as_u64(),
            window: error["n_ctx"].as_u64(),
        }
    }

    fn kind(&self, status: Option<u16>, retry_after: Option<Duration>) -> ErrorKind {
        let text = self.message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let tagged = |words: &[&str]| words.iter().any(|word| self.tags.contains(word));
        if tagged(&["exceed_context_size", "context_length_exceeded"]) || overflows(&text) {
            return self.overflow(&text);
        }
        if tagged(&["insufficient_quota", "billing"])
            || says(&["insufficient balance", "credit balance is too low"])
            || status == Some(402)
        {
            return ErrorKind::Quota;
        }
        if says(&["does not match the expected peg", "output that does not match the expected"]) {
            return ErrorKind::ToolFormat;
        }
        let no_model = says(&["model"]) && says(&["not found", "not exist", "unknown model"]);
        match status {
            Some(429) => ErrorKind::RateLimit { retry_after },
            Some(503 | 529) => ErrorKind::Overloaded { retry_after },
            Some(401 | 403) => ErrorKind::Auth,
            Some(404) => ErrorKind::UnknownModel,
            Some(408) => ErrorKind::Server,
            Some(400 | 422) if no_model => ErrorKind::UnknownModel,
            Some(413) => self.overflow(&text),
            Some(300..=499) => ErrorKind::BadRequest,
            _ if tagged(&["overloaded"]) => ErrorKind::Overloaded { retry_after },
            _ if tagged(&["rate_limit"]) => ErrorKind::RateLimit { retry_after },
            _ if tagged(&["authentication", "permission"]) => ErrorKind::Auth,
            _ if tagged(&["invalid_request"]) => ErrorKind::BadRequest,
            _ => ErrorKind::Server,
        }
    }

    fn overflow(&self, text: &str) -> ErrorKind {
        let numbers = |text: &str| -> Vec<u64> {
            let digits = text.split(|c: char| !c.is_ascii_digit());
            digits.filter_map(|digits| digits.parse().ok()).filter(|n| *n >= 256).collect()
        };
        let (used, window) =
            match (text.split_once("maximum context length is"), &numbers(text)[..]) {
                (Some((_, rest)), all) => {
                    (all.iter().max().copied(), numbers(rest).first().copied())
                }
                // Two numbers are the request and the window, in either order; more are a riddle.
                (None, &[a, b]) => (Some(a.max(b)), Some(a.min(b))),
                _ => (None, None),
            };
        let used = used.filter(|used| Some(*used) != window);
        ErrorKind::ContextOverflow { used: self.used.or(used), window: self.window.or(window) }
    }
}

fn overflows(text: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "prompt is too long",
        "maximum context length",
        "exceed context limit",
        "exceeds the available context",
        "exceeds the context window",
        "context window exceeded",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

fn clip(text: &str) -> String {
    let text = text.trim();
    if matches!(text, "" | "{}" | "null") {
        return "no explanation".to_owned();
    }
    let mut clipped: String = text.chars().take(LONGEST_MESSAGE).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        classify(status, body, None).kind
    }

    #[test]
    fn both_dialects_are_read() {
        let llama = r#"{"error":{"code":400,"message":"request (9021 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9021,"n_ctx":8192}}"#;
        let overflow = ErrorKind::ContextOverflow { used: Some(9021), window: Some(8192) };
        assert_eq!(kind(400, llama), overflow);
        let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213451 tokens > 200000 maximum"}}"#;
        let overflow = ErrorKind::ContextOverflow { used: Some(213_451), window: Some(200_000) };
        assert_eq!(kind(400, anthropic), overflow);
        let vllm = r#"{"message":"This model's maximum context length is 8192 tokens. However, you requested 9021 tokens (7021 in the messages, 2000 in the completion)."}"#;
        let overflow = ErrorKind::ContextOverflow { used: Some(9021), window: Some(8192) };
        assert_eq!(kind(400, vllm), overflow);
        let openai = r#"{"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        assert_eq!(kind(400, openai), ErrorKind::ContextOverflow { used: None, window: None });
    }

    #[test]
    fn a_status_says_most() {
        let after = Some(Duration::from_secs(2));
        assert_eq!(classify(429, "", after).kind, ErrorKind::RateLimit { retry_after: after });
        assert_eq!(
            kind(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"o"}}"#),
            ErrorKind::Overloaded { retry_after: None }
        );
        assert_eq!(kind(401, r#"{"error":{"message":"bad key"}}"#), ErrorKind::Auth);
        assert_eq!(kind(404, r#"{"error":"model 'x' not found"}"#), ErrorKind::UnknownModel);
        assert_eq!(
            kind(400, r#"{"error":{"message":"Model Not Exist"}}"#),
            ErrorKind::UnknownModel
        );
        assert_eq!(kind(500, "<html>oops</html>"), ErrorKind::Server);
        assert_eq!(kind(302, ""), ErrorKind::BadRequest);
        let quota = r#"{"error":{"code":"insufficient_quota","message":"You exceeded"}}"#;
        assert_eq!(kind(429, quota), ErrorKind::Quota);
        let peg = r#"{"error":{"code":500,"message":"The model produced output that does not match the expected peg-native format","type":"server_error"}}"#;
        assert_eq!(kind(500, peg), ErrorKind::ToolFormat);
    }

    #[test]
    fn an_error_inside_a_stream_goes_by_its_type() {
        let error = serde_json::json!({"type": "overloaded_error", "message": "Overloaded"});
        assert_eq!(in_stream(&error).kind, ErrorKind::Overloaded { retry_after: None });
        let error = serde_json::json!({"code": 500, "message": "x", "type": "server_error"});
        assert_eq!(in_stream(&error).kind, ErrorKind::Server);
        let error = serde_json::json!("just words");
        assert_eq!(in_stream(&error).message, "failed while answering: just words");
    }

    #[test]
    fn messages_are_clipped_and_never_empty() {
        assert_eq!(classify(500, "  ", None).message, "status 500: no explanation");
        assert!(classify(500, &"é".repeat(99_999), None).message.len() < 1300);
        assert_eq!(
            classify(422, r#"{"detail":[{"msg":"m"}]}"#, None).message,
            r#"status 422: [{"msg":"m"}]"#
        );
    }

    #[test]
    fn the_retry_header_may_be_odd() {
        assert_eq!(retry_after(Some(" 2 ")), Some(Duration::from_secs(2)));
        for odd in ["-1", "NaN", "1e300", "Wed, 21 Oct 2026 07:28:00 GMT", ""] {
            assert_eq!(retry_after(Some(odd)), None, "{odd}");
        }
    }
}
