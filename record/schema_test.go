package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// strict tells what the text has against it as JSON, by another parser.
func strict(text []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := d.ReadValue(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("trailing data: %w", err)
	}
	d = jsontext.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.ReadToken(); err != nil {
			return nil //nolint:nilerr // the end: the text was read before
		}
		if d.StackDepth() > MaxDepth {
			return errors.New("too deep")
		}
	}
}

type validator struct{ *jsonschema.Schema }

func compile(t *testing.T, kind Kind) validator {
	t.Helper()
	raw, err := Schema(kind)
	require.NoError(t, err)
	require.NoError(t, strict(raw))
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource(kind.String(), doc))
	s, err := c.Compile(kind.String())
	require.NoError(t, err)
	return validator{s}
}

// check is what another language would do: parse strictly, then validate.
func (s validator) check(text []byte) error {
	if err := strict(text); err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// The validator computes with exact fractions, which a billion digits exhaust.
var hugeExponent = regexp.MustCompile(`[eE][+-]?0*[1-9][0-9]{4}`)

// agree fails unless schema and decoder say the same; it returns what they say.
func agree(t *testing.T, s validator, block *Block, text []byte) bool {
	t.Helper()
	if block.Rows() > 10_000 {
		block.Reset()
	}
	want, got := s.check(text), block.Append(text, origin(0))
	if (want == nil) != (got == nil) {
		t.Fatalf("%.2000q\nschema:  %v\ndecoder: %v", text, want, got)
	}
	return got == nil
}

func TestSchemaAndDecoderAgreeOnTheSamples(t *testing.T) {
	for _, kind := range Kinds() {
		s, block := compile(t, kind), NewBlock(kind)
		for _, sample := range samples(kind) {
			agree(t, s, block, []byte(sample.text))
		}
		t.Logf("%s: %d samples", kind, len(samples(kind)))
	}
}

func TestSchemaAndDecoderAgreeOnMutations(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 2_000
	}
	for _, kind := range Kinds() {
		r := rand.New(rand.NewPCG(1, uint64(kind)))
		s, block := compile(t, kind), NewBlock(kind)
		accepted := 0
		for range n {
			text := mutate(r, generate(r, kind))
			if !hugeExponent.Match(text) && agree(t, s, block, text) {
				accepted++
			}
		}
		t.Logf("%s: %d of %d accepted", kind, accepted, n)
		require.Greater(t, accepted, n/5, "the mutations are too wild to test what is accepted")
		require.Less(t, accepted, n*4/5, "the mutations are too tame to test what is rejected")
	}
}

func TestSchemaAndDecoderAgreeOnEveryDate(t *testing.T) {
	s, block := compile(t, Event), NewBlock(Event)
	for year := 1968; year < 2264; year++ {
		for month := range 14 {
			for day := 28; day < 33; day++ {
				agree(t, s, block, fmt.Appendf(nil, `{"timestamp":"%04d-%02d-%02dT00:00:00Z","type":""}`, year, month, day))
			}
			agree(t, s, block, fmt.Appendf(nil, `{"timestamp":"%04d-%02d-00T00:00:00Z","type":""}`, year, month))
		}
	}
}

func TestSchemaRequiresWhatTheDecoderDoes(t *testing.T) {
	for _, kind := range Kinds() {
		s := compile(t, kind)
		require.Len(t, s.Properties, len(kind.fields()))
		required := []string{}
		for _, f := range kind.fields() {
			require.Contains(t, s.Properties, f.name)
			if f.required {
				required = append(required, f.name)
			}
		}
		require.Equal(t, required, s.Required)
	}
	_, err := Schema(0)
	require.Error(t, err)
}
