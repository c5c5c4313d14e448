"""People where they count: whom a look corrects most, what an audit guarantees, how far reviewers agree."""
