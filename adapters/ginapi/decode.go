package ginapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/imagify-api/imagify/domain"
)

// The bounds on a JSON request: its body in bytes, the fields in it, nested ones
// included, and how many of its errors are told.
const (
	maxJSON   = 64 << 10
	maxFields = 100
	maxErrors = 20
)

// readAll reads a body of at most limit bytes.
func (q *request) readAll(limit int64) ([]byte, error) {
	if q.r.ContentLength > limit {
		return nil, domain.LimitError(domain.TooLarge, limit, "the request is larger than %d bytes", limit)
	}
	b, err := io.ReadAll(io.LimitReader(q.r.Body, limit+1))
	if err != nil {
		return nil, readError(err)
	}
	if int64(len(b)) > limit {
		return nil, domain.LimitError(domain.TooLarge, limit, "the request is larger than %d bytes", limit)
	}
	q.bodyRead()
	return b, nil
}

// readError is what a failed read of a request's body means.
func readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return domain.Wrap(domain.Timeout, err, "the request's body came too slowly")
	}
	return domain.Wrap(domain.Invalid, err, "the request's body was cut short")
}

// object reads the body as one JSON object, strictly.
func (q *request) object() (*object, error) {
	typ, params, err := mime.ParseMediaType(q.r.Header.Get("Content-Type"))
	if err != nil || typ != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, domain.Errorf(domain.Invalid, "send JSON, with the header Content-Type: application/json")
	}
	b, err := q.readAll(maxJSON)
	if err != nil {
		return nil, err
	}
	return parseObject(b)
}

// object is a JSON object whose fields are taken out one by one. What is wrong
// is gathered, and what nobody took is unknown: done tells all of it at once.
type object struct {
	prefix string
	fields map[string]json.RawMessage
	errs   []domain.FieldError
	left   *int // how many fields the request may still have
	// tooMany says that a nested object went over left.
	tooMany bool
}

func parseObject(b []byte) (*object, error) {
	if !utf8.Valid(b) {
		return nil, domain.Errorf(domain.Invalid, "the request is not UTF-8")
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, domain.Errorf(domain.Invalid, "the request has no body: send a JSON object")
	}
	if !json.Valid(b) {
		return nil, domain.Errorf(domain.Invalid, "the request is not valid JSON")
	}
	left := maxFields
	return splitObject(b, "", &left)
}

// splitObject splits valid JSON into an object's fields. encoding/json would
// take the last of several fields of a name, and match names in any case.
func splitObject(b []byte, prefix string, left *int) (*object, error) {
	o := &object{prefix: prefix, fields: map[string]json.RawMessage{}, left: left}
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		if prefix != "" {
			return nil, domain.InvalidField(strings.TrimSuffix(prefix, "."), "type", "must be an object")
		}
		return nil, domain.Errorf(domain.Invalid, "the request must be a JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err == nil && ok {
			err = dec.Decode(&value)
		}
		if err != nil || !ok {
			return nil, domain.Errorf(domain.Invalid, "the request is not valid JSON")
		}
		if *left--; *left < 0 {
			return nil, tooManyFields()
		}
		if _, twice := o.fields[name]; twice {
			o.wrong(name, "format", "is there more than once")
			continue
		}
		o.fields[name] = value
	}
	return o, nil
}

func tooManyFields() error {
	return domain.Errorf(domain.Invalid, "the request has more than %d fields", maxFields)
}

// formObject is a form as the JSON object that says the same, for one reading of
// both: what is empty is left out, what the numbers name is written as it is.
func formObject(form url.Values, numbers ...string) *object {
	left := maxFields
	o := &object{fields: map[string]json.RawMessage{}, left: &left}
	for name := range form {
		text := strings.TrimSpace(form.Get(name))
		if text == "" || name == "action" {
			continue
		}
		raw := json.RawMessage(text)
		if !slices.Contains(numbers, name) {
			raw, _ = json.Marshal(text) // a string: it cannot fail
		}
		o.fields[name] = raw
	}
	return o
}

func (o *object) wrong(name, code, message string) {
	if len(o.errs) >= maxErrors {
		return
	}
	o.errs = append(o.errs, domain.FieldError{Field: o.prefix + name, Code: code, Message: message})
}

// take removes a field and returns its value; nil if it is not there.
func (o *object) take(name string) json.RawMessage {
	v := o.fields[name]
	delete(o.fields, name)
	return v
}

// require notes that a field is missing.
func (o *object) require(names ...string) {
	for _, n := range names {
		if o.fields[n] == nil {
			o.wrong(n, "required", "is required")
		}
	}
}

// str takes a string; nil if it is not there.
func (o *object) str(name string) *string {
	v := o.take(name)
	if v == nil {
		return nil
	}
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		o.wrong(name, "type", "must be a string")
		return nil
	}
	return &s
}

// boolean takes true or false; nil if it is not there.
func (o *object) boolean(name string) *bool {
	v := o.take(name)
	if v == nil {
		return nil
	}
	b := string(v) == "true"
	if !b && string(v) != "false" {
		o.wrong(name, "type", "must be true or false")
		return nil
	}
	return &b
}

// strs takes an array of strings; nil if it is not there.
func (o *object) strs(name string) *[]string {
	v := o.take(name)
	if v == nil {
		return nil
	}
	var items []json.RawMessage
	if v[0] != '[' || json.Unmarshal(v, &items) != nil {
		o.wrong(name, "type", "must be an array of strings")
		return nil
	}
	out := make([]string, len(items))
	for i, it := range items {
		if it[0] != '"' || json.Unmarshal(it, &out[i]) != nil {
			o.wrong(name+"["+strconv.Itoa(i)+"]", "type", "must be a string")
			return nil
		}
	}
	return &out
}

// integer takes a whole number written in digits and nothing else: no sign,
// fraction, exponent or leading zero. nil if it is not there.
func (o *object) integer(name string) *int64 {
	v := o.take(name)
	if v == nil {
		return nil
	}
	n, ok := digits(string(v))
	if !ok {
		o.wrong(name, "type", "must be a whole number, written in digits")
		return nil
	}
	return &n
}

func digits(s string) (int64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// integers takes an object of whole numbers or nulls by name; nil if it is not there.
func (o *object) integers(name string) map[string]*int64 {
	v := o.take(name)
	if v == nil {
		return nil
	}
	inner, err := splitObject(v, o.prefix+name+".", o.left)
	if err != nil {
		if *o.left < 0 {
			o.tooMany = true
			return nil
		}
		o.errs = append(o.errs, domain.AsError(err).Fields...)
		return nil
	}
	out := map[string]*int64{}
	for n, v := range inner.fields {
		if string(v) == "null" {
			out[n] = nil
			continue
		}
		i, ok := digits(string(v))
		if !ok {
			inner.wrong(n, "type", "must be a whole number, written in digits, or null for none")
			continue
		}
		out[n] = &i
	}
	o.errs = append(o.errs, inner.errs...)
	return out
}

// done returns what was wrong, unknown fields included.
func (o *object) done() error {
	if o.tooMany {
		return tooManyFields()
	}
	for _, n := range slices.Sorted(maps.Keys(o.fields)) {
		o.wrong(n, "unknown", "is not a field that can be set here")
	}
	if len(o.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(o.errs, func(a, b domain.FieldError) int { return strings.Compare(a.Field, b.Field) })
	o.errs = o.errs[:min(len(o.errs), maxErrors)]
	first := o.errs[0]
	return &domain.Error{Code: domain.Invalid, Msg: first.Field + ": " + first.Message, Fields: o.errs}
}
