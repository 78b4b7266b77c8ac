// Package strictjson reads a request's JSON object into a struct, and tells everything that is
// wrong with it at once: unknown fields, fields of the wrong type, duplicates, missing ones.
package strictjson

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/imagify-api/imagify/domain"
)

// maxFields bounds the fields of an object, nested ones included; MaxErrors is how many of its errors are told.
const (
	maxFields = 100
	MaxErrors = 20
)

// Object is a JSON object whose fields are taken out one by one. What is wrong
// is gathered, and what nobody took is unknown: Done tells all of it at once.
type Object struct {
	prefix string
	fields map[string]json.RawMessage
	errs   []domain.FieldError
	left   *int // how many fields the request may still have
	// tooMany says that a nested object went over left.
	tooMany bool
}

// Parse splits a JSON object into its fields.
func Parse(b []byte) (*Object, error) {
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
func splitObject(b []byte, prefix string, left *int) (*Object, error) {
	o := &Object{prefix: prefix, fields: map[string]json.RawMessage{}, left: left}
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
			o.Wrong(name, "format", "is a duplicate")
			continue
		}
		o.fields[name] = value
	}
	return o, nil
}

func tooManyFields() error {
	return domain.Errorf(domain.Invalid, "the request has more than %d fields", maxFields)
}

// FromForm is a form as the JSON object that says the same, for one reading of
// both: what is empty is left out, what the numbers name is written as it is.
func FromForm(form url.Values, numbers ...string) *Object {
	left := maxFields
	o := &Object{fields: map[string]json.RawMessage{}, left: &left}
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

// Wrong notes that a field is wrong.
func (o *Object) Wrong(name, code, message string) {
	if len(o.errs) >= MaxErrors {
		return
	}
	o.errs = append(o.errs, domain.FieldError{Field: o.prefix + name, Code: code, Message: message})
}

// take removes a field and returns its value; nil if it is not there.
func (o *Object) take(name string) json.RawMessage {
	v := o.fields[name]
	delete(o.fields, name)
	return v
}

// Fill reads the fields of a struct, by their json tags: pointers to string, bool, int64 and
// []string, which stay nil where the field is not sent, maps of *int64, and plain values of these,
// which must be sent. A struct that is embedded counts as if its fields stood in the outer one.
func (o *Object) Fill(into any) { o.fill(reflect.ValueOf(into).Elem()) }

func (o *Object) fill(v reflect.Value) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Anonymous {
			continue
		}
		name, optional, _ := strings.Cut(f.Tag.Get("json"), ",")
		if optional == "" && o.fields[name] == nil {
			o.Wrong(name, "required", "is required")
			continue
		}
		switch to := v.FieldByIndex(f.Index).Addr().Interface().(type) {
		case **string:
			*to = o.str(name)
		case *string:
			if s := o.str(name); s != nil {
				*to = *s
			}
		case **bool:
			*to = o.boolean(name)
		case **int64:
			*to = o.integer(name)
		case *int64:
			if n := o.integer(name); n != nil {
				*to = *n
			}
		case **[]string:
			*to = o.strs(name)
		case *map[string]*int64:
			*to = o.integers(name)
		default:
			panic("strictjson: cannot read a " + f.Type.String()) // a mistake in the program
		}
	}
}

// str takes a string; nil if it is not there.
func (o *Object) str(name string) *string {
	v := o.take(name)
	if v == nil {
		return nil
	}
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		o.Wrong(name, "type", "must be a string")
		return nil
	}
	return &s
}

// boolean takes true or false; nil if it is not there.
func (o *Object) boolean(name string) *bool {
	v := o.take(name)
	if v == nil {
		return nil
	}
	b := string(v) == "true"
	if !b && string(v) != "false" {
		o.Wrong(name, "type", "must be true or false")
		return nil
	}
	return &b
}

// strs takes an array of strings; nil if it is not there.
func (o *Object) strs(name string) *[]string {
	v := o.take(name)
	if v == nil {
		return nil
	}
	var items []json.RawMessage
	if v[0] != '[' || json.Unmarshal(v, &items) != nil {
		o.Wrong(name, "type", "must be an array of strings")
		return nil
	}
	out := make([]string, len(items))
	for i, it := range items {
		if it[0] != '"' || json.Unmarshal(it, &out[i]) != nil {
			o.Wrong(name+"["+strconv.Itoa(i)+"]", "type", "must be a string")
			return nil
		}
	}
	return &out
}

// integer takes a whole number written in digits and nothing else: no sign,
// fraction, exponent or leading zero. nil if it is not there.
func (o *Object) integer(name string) *int64 {
	v := o.take(name)
	if v == nil {
		return nil
	}
	n, ok := Digits(string(v))
	if !ok {
		o.Wrong(name, "type", "must be a whole number, written in digits")
		return nil
	}
	return &n
}

// Digits reads a whole number written in digits and nothing else.
func Digits(s string) (int64, bool) {
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
func (o *Object) integers(name string) map[string]*int64 {
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
		i, ok := Digits(string(v))
		if !ok {
			inner.Wrong(n, "type", "must be a whole number, written in digits, or null for none")
			continue
		}
		out[n] = &i
	}
	o.errs = append(o.errs, inner.errs...)
	return out
}

// Done returns what was wrong, unknown fields included.
func (o *Object) Done() error {
	if o.tooMany {
		return tooManyFields()
	}
	for _, n := range slices.Sorted(maps.Keys(o.fields)) {
		o.Wrong(n, "unknown", "is not a field that can be set here")
	}
	if len(o.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(o.errs, func(a, b domain.FieldError) int { return strings.Compare(a.Field, b.Field) })
	o.errs = o.errs[:min(len(o.errs), MaxErrors)]
	first := o.errs[0]
	return &domain.Error{Code: domain.Invalid, Msg: first.Field + ": " + first.Message, Fields: o.errs}
}
