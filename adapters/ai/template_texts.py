"""The texts of the template generator: descriptions, outlines and competitive analyses."""

from collections.abc import Mapping

from domain.ideas import ContentType, Tone

from .search_standing import Standing

#: How a description begins.
OPENINGS: Mapping[ContentType, tuple[str, ...]] = {
    "article": (
        "An article on {topic} that follows one theme from start to finish: {angle}.",
        "A written guide to {topic} with a single question at its heart: {angle}.",
        "A long read on {topic} that settles one matter properly: {angle}.",
    ),
    "video": (
        "A video on {topic} that shows one thing and shows it well: {angle}.",
        "A filmed walk through {topic}, scene by scene, on one theme: {angle}.",
        "A short film on {topic} with a clear promise in its first ten seconds: {angle}.",
    ),
    "social": (
        "A post on {topic} that makes one point and invites replies: {angle}.",
        "A short series of slides on {topic} with one takeaway: {angle}.",
        "A post on {topic} that people will want to pass on: {angle}.",
    ),
    "email": (
        "An email on {topic} that can be read over a coffee: {angle}.",
        "A newsletter issue on {topic} with one story and one link to follow: {angle}.",
        "A message to subscribers about {topic}, with one theme: {angle}.",
    ),
}

#: How it should sound.
MANNERS: Mapping[Tone, tuple[str, ...]] = {
    "professional": (
        "It argues from evidence and ends with a clear recommendation.",
        "It states the conclusion first and the reasons after it.",
    ),
    "casual": (
        "It talks the way friends do and admits what did not work.",
        "It keeps things light and gets to the point quickly.",
    ),
    "educational": (
        "It explains every term before using it and ends with a question to think about.",
        "It goes from the known to the new, one step at a time.",
    ),
    "entertaining": (
        "It opens with a story and keeps the facts straight behind the jokes.",
        "It is fun to follow, and still teaches something on the way.",
    ),
}

#: Why the piece is worth making.
REASONS: Mapping[Standing, str] = {
    "defend": "“{topic}” brings about {clicks} a day from position {position}, a place worth defending.",
    "snippet": (
        "“{topic}” stands at position {position} but brings only about {clicks} a day, so the title and "
        "the first lines carry the answer."
    ),
    "push": "“{topic}” stands at position {position}, on page two: this piece is the push to page one.",
    "build": "“{topic}” stands at position {position}, too far down to be seen, so it starts from the ground up.",
    "unknown": "There are no search figures for “{topic}” yet, and this piece is a way to get some.",
}

#: What others do, and how the piece differs.
ANALYSES: Mapping[Standing, tuple[str, ...]] = {
    "defend": (
        "Competitors will copy what ranks for “{topic}”. Keep the lead at position {position}: renew the figures, "
        "add first-hand examples, and link here from older pages.",
        "At position {position} with about {clicks} a day, the risk for “{topic}” is standing still. Answer "
        "the follow-up questions that rivals leave to others.",
    ),
    "snippet": (
        "Others on page one for “{topic}” win the click with a clearer promise. Position {position} is good enough; "
        "the first sentence and the description should say it plainly: {angle}.",
        "“{topic}” is seen at position {position} and passed over. Compare the titles around it and promise what "
        "they do not: {angle}.",
    ),
    "push": (
        "The pages above position {position} for “{topic}” tend to be broad. Go deeper on one theme ({angle}) and "
        "link to the piece from pages that already rank.",
        "From position {position} it takes one clearly better page to reach page one for “{topic}”. Cover what the "
        "ten results above share, then add what is missing there: {angle}.",
    ),
    "build": (
        "Established pages hold the first two pages for “{topic}”. From position {position}, begin with a narrow "
        "theme ({angle}) and let related pieces support it.",
        "At position {position} a head-on contest for “{topic}” is lost. Choose what the large sites treat in "
        "passing: {angle}.",
    ),
    "unknown": (
        "Nobody has measured “{topic}” here. Read the first ten results, note what they all cover, and give the "
        "room to the theme that is ours: {angle}.",
        "Without figures for “{topic}”, treat the piece as a probe: publish, watch position and clicks for 30 days, "
        "then deepen what people came for.",
    ),
}

#: The points of an outline; the angle itself and the standing's point come in between.
OUTLINE_STARTS: Mapping[ContentType, tuple[str, ...]] = {
    "article": ("The case for {topic}", "Where people begin with {topic}", "{Topic} in one paragraph"),
    "video": ("Hook: a result from {topic} before any talk", "Cold open: a mishap with {topic}"),
    "social": ("First line: the surprise about {topic}", "First slide: one number about {topic}"),
    "email": ("Subject and preview line on {topic}", "Greeting and the reason to write about {topic} today"),
}
OUTLINE_MIDDLES: Mapping[ContentType, tuple[tuple[str, ...], ...]] = {
    "article": (
        ("An example, worked through", "Two examples side by side", "A case from practice"),
        ("Common objections and honest answers", "What it costs in time and money", "Limits and exceptions"),
    ),
    "video": (
        ("Demonstration in one shot", "Side-by-side comparison", "The hands-on part"),
        ("Recap on screen in three points", "Viewer questions answered"),
    ),
    "social": (("One example in a picture", "One quote from practice", "One before-and-after"),),
    "email": (("A short story from a reader", "One useful link and why it helps", "A tip to try today"),),
}
OUTLINE_ENDS: Mapping[ContentType, tuple[str, ...]] = {
    "article": ("What to do next", "Checklist to take away", "Summary and further reading"),
    "video": ("Next video and a question for the comments", "Closing shot and one thing to try"),
    "social": ("Question that invites a reply", "Call to save or share"),
    "email": ("One clear button", "Reply to this email: one question"),
}
STANDING_POINTS: Mapping[Standing, str] = {
    "defend": "What is new since the last version",
    "snippet": "The short answer, ready to be quoted",
    "push": "What the page-one results leave out",
    "build": "The basics, for those who start here",
    "unknown": "What people ask about {topic}",
}
