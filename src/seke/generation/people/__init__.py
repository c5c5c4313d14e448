"""People where they count: whom a look mends most, what an audit guarantees, how far reviewers agree."""
