"""Answer over HTTP: a model, a bounded queue, limits against hostile requests, metrics and a page."""
