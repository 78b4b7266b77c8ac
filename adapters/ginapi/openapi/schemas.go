package openapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/domain"
)

// schemas are those of the structs that are answered with and read into, by name. A struct's schema
// is made of its fields and their tags: json, and those that package response tells of.
type schemas map[string]any

// of returns a reference to the schema of a value's type, and keeps the schema.
func (s schemas) of(v any) obj { return s.ofType(reflect.TypeOf(v)) }

// object is the schema of an object with these properties and no others.
func object(properties obj, required ...string) obj {
	o := obj{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func (s schemas) ofType(t reflect.Type) obj {
	switch t {
	case reflect.TypeFor[time.Time]():
		return stamp()
	case reflect.TypeFor[[]byte]():
		return obj{"type": "string", "contentEncoding": "base64"}
	case reflect.TypeFor[json.RawMessage]():
		return obj{"type": []string{"object", "null"}}
	case reflect.TypeFor[domain.Code]():
		return enum(domain.Codes())
	case reflect.TypeFor[response.ContentType]():
		var types []string
		for _, f := range domain.Formats() {
			types = append(types, f.ContentType())
		}
		return enum(types)
	case reflect.TypeFor[response.Limits]():
		return s.named(t, func() obj { return limits(true) })
	case reflect.TypeFor[map[string]*int64](): // of a request
		return limits(false)
	case reflect.TypeFor[response.Thumbnails]():
		return obj{
			"type": "object", "propertyNames": obj{"pattern": "^[1-9][0-9]{0,3}$"}, "additionalProperties": s.of(response.Thumbnail{}),
		}
	}
	switch t.Kind() {
	case reflect.String:
		return text()
	case reflect.Bool:
		return obj{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return obj{"type": "integer"}
	case reflect.Slice:
		return obj{"type": "array", "items": s.ofType(t.Elem())}
	case reflect.Struct:
		return s.named(t, func() obj { return s.fields(t) })
	}
	panic("openapi: no schema of " + t.String()) // a mistake in the program, which every start would meet
}

// named keeps the schema of a type, once, and returns a reference to it.
func (s schemas) named(t reflect.Type, schema func() obj) obj {
	name := nameOf(t)
	if s[name] == nil {
		s[name] = obj{} // for a type that holds itself
		s[name] = schema()
	}
	return ref("schemas", name)
}

// nameOf is a type's name in the document; a list of images is an ImageList.
func nameOf(t reflect.Type) string {
	name, of, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return name
	}
	return of[strings.LastIndexByte(of, '.')+1:len(of)-1] + name
}

func (s schemas) fields(t reflect.Type) obj {
	properties := obj{}
	var required []string
	for _, f := range jsonFields(t) {
		properties[f.name] = s.field(f)
		if !f.optional {
			required = append(required, f.name)
		}
	}
	slices.Sort(required)
	return object(properties, required...)
}

// field is the schema of a struct's field. A pointer that must be there may be null instead.
func (s schemas) field(f jsonField) obj {
	t, pointer := f.Type, f.Type.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	schema := s.ofType(t)
	f.describe(schema)
	if !pointer || f.optional {
		return schema
	}
	if typ, ok := schema["type"].(string); ok {
		schema["type"] = []string{typ, "null"}
		return schema
	}
	return obj{"oneOf": []obj{{"type": "null"}, schema}}
}

// jsonField is a field of a struct as encoding/json sees it.
type jsonField struct {
	reflect.StructField
	name     string
	optional bool
}

func jsonFields(t reflect.Type) []jsonField {
	var out []jsonField
	for _, f := range reflect.VisibleFields(t) {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		out = append(out, jsonField{f, name, option == "omitempty"})
	}
	return out
}

// describe adds what the field's tags say.
func (f jsonField) describe(schema obj) {
	for _, key := range []string{"description", "format", "pattern"} {
		if v := f.Tag.Get(key); v != "" {
			schema[key] = v
		}
	}
	for _, key := range []string{"minimum", "maximum"} {
		if v, err := strconv.ParseInt(f.Tag.Get(key), 10, 64); err == nil {
			schema[key] = v
		}
	}
	if v := f.Tag.Get("enum"); v != "" {
		schema["enum"] = strings.Fields(v)
	}
	if f.Tag.Get("writeOnly") == "true" {
		schema["writeOnly"] = true
	}
}

func enum[T ~string](values []T) obj { return obj{"type": "string", "enum": values} }

// limits are a tier's: all of them as they are answered with, any of them as they are sent.
func limits(all bool) obj {
	properties := obj{}
	var required []string
	l := domain.DefaultLimits()
	for _, f := range l.Fields() {
		properties[f.Name] = obj{"type": []string{"integer", "null"}, "minimum": 0, "description": "null: none"}
		if all {
			required = append(required, f.Name)
		}
	}
	slices.Sort(required)
	return object(properties, required...)
}

// Field is a field of a body.
type Field struct {
	Name, Type, Description string
	Required, WriteOnly     bool
}

// Fields are those of a body, by name.
func Fields(body any) []Field {
	var out []Field
	named := schemas{}
	for _, f := range jsonFields(reflect.TypeOf(body)) {
		schema := named.field(f)
		typ, _ := schema["type"].(string)
		out = append(out, Field{Name: f.name, Type: typ, Description: f.Tag.Get("description"), Required: !f.optional, WriteOnly: schema["writeOnly"] == true})
	}
	slices.SortFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}
