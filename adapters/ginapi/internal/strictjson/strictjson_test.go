package strictjson

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

// everyKind has a field of every kind that a body may have.
type everyKind struct {
	Integer  *int64            `json:"i,omitempty"`
	Text     *string           `json:"s,omitempty"`
	Boolean  *bool             `json:"b,omitempty"`
	Texts    *[]string         `json:"a,omitempty"`
	Integers map[string]*int64 `json:"n,omitempty"`
}

func TestFill(t *testing.T) {
	t.Parallel()
	type inner struct {
		Text *string `json:"s,omitempty"`
	}
	var in struct {
		Name  string `json:"name"`
		Count int64  `json:"count"`
		inner
	}
	o, err := Parse([]byte(`{"name":"x","count":3,"s":"y"}`))
	require.NoError(t, err)
	o.Fill(&in)
	require.NoError(t, o.Done())
	assert.Equal(t, "x", in.Name)
	assert.Equal(t, int64(3), in.Count)
	assert.Equal(t, "y", *in.Text)

	o, err = Parse([]byte(`{"s":"y"}`))
	require.NoError(t, err)
	o.Fill(&in)
	assert.Equal(t, []domain.FieldError{{Field: "count", Code: "required", Message: "is required"}, {Field: "name", Code: "required", Message: "is required"}}, domain.AsError(o.Done()).Fields)

	all := everyKind{}
	o, err = Parse([]byte(`{"i":1,"s":"x","b":false,"a":["y"],"n":{"x":null,"z":3}}`))
	require.NoError(t, err)
	o.Fill(&all)
	require.NoError(t, o.Done())
	assert.Equal(t, int64(1), *all.Integer)
	assert.Equal(t, "x", *all.Text)
	assert.False(t, *all.Boolean)
	assert.Equal(t, []string{"y"}, *all.Texts)
	assert.Nil(t, all.Integers["x"])
	assert.Equal(t, int64(3), *all.Integers["z"])
	assert.Panics(t, func() {
		o.Fill(&struct {
			X chan int `json:"x,omitempty"`
		}{})
	})
}

func TestParseObject(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``:                          "has no body",
		`  `:                        "has no body",
		`[]`:                        "must be a JSON object",
		`null`:                      "must be a JSON object",
		`"x"`:                       "must be a JSON object",
		`{`:                         "not valid JSON",
		`{"i":1}{}`:                 "not valid JSON",
		`{"i":1} x`:                 "not valid JSON",
		"{\"s\":\"\xff\"}":          "not UTF-8",
		"\ufeff{}":                  "not valid JSON",
		`{"i":1,"i":1}`:             "i: is a duplicate",
		`{"i":1,"\u0069":1}`:        "i: is a duplicate",
		`{"I":1}`:                   "I: is not a field",
		`{"i":"1"}`:                 "i: must be a whole number",
		`{"i":null}`:                "i: must be a whole number",
		`{"i":1.0}`:                 "i: must be a whole number",
		`{"i":1e3}`:                 "i: must be a whole number",
		`{"i":-0}`:                  "i: must be a whole number",
		`{"i":9223372036854775808}`: "i: must be a whole number",
		`{"s":1}`:                   "s: must be a string",
		`{"s":null}`:                "s: must be a string",
		`{"b":"true"}`:              "b: must be true or false",
		`{"b":null}`:                "b: must be true or false",
		`{"a":"x"}`:                 "a: must be an array",
		`{"a":null}`:                "a: must be an array",
		`{"a":["x",1]}`:             "a[1]: must be a string",
		`{"a":["x",null]}`:          "a[1]: must be a string",
		`{"n":[]}`:                  "n: must be an object",
		`{"n":null}`:                "n: must be an object",
		`{"n":{"x":1,"x":2}}`:       "n.x: is a duplicate",
		`{"n":{"x":1.5}}`:           "n.x: must be a whole number",
		`{"i":1,"s":"x","b":false,"a":[],"n":{"x":null,"y":3}}`: "",
		`{}`: "",
	} {
		err := func() error {
			o, err := Parse([]byte(body))
			if err != nil {
				return err
			}
			var in everyKind
			o.Fill(&in)
			return o.Done()
		}()
		if want == "" {
			assert.NoError(t, err, body)
			continue
		}
		require.Error(t, err, body)
		assert.Equal(t, domain.Invalid, domain.CodeOf(err), body)
		assert.Contains(t, err.Error(), want, body)
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{"i":1,"s":"x","b":true,"a":["y"],"n":{"x":null}}`, `{"i":1e3}`, `[[`, `{"i":1,"i":2}`, "{\"\xff\":1}", `{"n":{"n":{}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Parse(b)
		if err != nil {
			assert.Equal(t, domain.Invalid, domain.CodeOf(err))
			return
		}
		var in everyKind
		o.Fill(&in)
		if in.Integer != nil {
			assert.GreaterOrEqual(t, *in.Integer, int64(0))
		}
		if err := o.Done(); err != nil {
			assert.NotEmpty(t, domain.AsError(err).Fields)
		}
	})
}
