"""A library of nine runbooks that is large enough to learn from, and an embedder of few dimensions."""

from knowledge.model import Document
from tests.knowledge_fakes import WordHashEmbedder, document

PAGES = {
    "rate-limit": ["429 Too Many Requests on chat", "rate_limit_exceeded, remaining tokens 0", "RateLimitError spike",
                   "tokens per minute used up", "requests refused, retry-after 20"],
    "slow": ["p95 latency above 9 seconds", "time to first token doubled", "answers are slow for everybody",
             "the assistant takes ages to respond", "response time three times normal"],
    "outage": ["500 internal server error from the vendor", "provider answers 503 on every call", "vendor is down",
               "service unavailable at the model API", "error rate 90 percent, status page red"],
    "leak": ["a customer saw personal data of somebody", "private conversations exposed on the web",
             "phone numbers of users in an answer", "confidential notes disclosed", "PII in public share link"],
    "injection": ["web page told the bot to ignore its instructions", "hidden text in a document steers the agent",
                  "prompt injection through a ticket", "the bot was tricked by white text", "jailbreak in an e-mail"],
    "index": ["documents are out of date", "ingestion stalled, watermark old", "new articles are not indexed",
              "search returns last month's prices", "sync of the knowledge base stopped"],
    "cost": ["bill ten times higher", "token spend doubled over night", "invoice of the vendor exploded",
             "cost per request up", "spend alert before noon"],
    "loop": ["agent repeats the same tool over and over", "400 steps and no end", "infinite loop of sub-agents",
             "same step again and again", "max_iterations reached in many runs"],
    "format": ["JSONDecodeError in the answer parser", "schema validation fails", "model wraps JSON in a code fence",
               "pydantic ValidationError, field missing", "structured output is malformed"],
}  # fmt: skip


def library(**more: Document) -> tuple[Document, ...]:
    """The nine; those given by keyword take the place of theirs, or are added."""
    found = {name: document(name, pages) for name, pages in PAGES.items()}
    return tuple({**found, **more}.values())


class SmallEmbedder(WordHashEmbedder):
    """64 dimensions: the ranker solves equations as wide as a vector."""

    dimension = 64
