package ginapi

import "net/http"

func getDocs(q *request) error {
	if q.hasCredentials() {
		// The docs are for everybody; who is signed in is only shown.
		if a, err := q.whoAsks(); err == nil {
			q.actor = a
		}
	}
	d := q.newPage("API documentation", "docs", nil)
	d.policy = docsPolicy
	return q.html(http.StatusOK, "docs", d)
}
