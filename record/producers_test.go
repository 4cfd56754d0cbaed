package record

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// producersPage is docs/producers.md, by heading.
func producersPage(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/producers.md")
	require.NoError(t, err)
	sections := map[string]string{}
	for _, s := range regexp.MustCompile(`(?m)^#+ `).Split(string(page), -1) {
		heading, body, _ := strings.Cut(s, "\n")
		sections[heading] = body
	}
	return sections
}

// reject is the decoder's reason; "" for a record that is stored.
func reject(kind Kind, text string) Reason {
	d := decoder{fields: kind.fields()}
	if fault := d.decode([]byte(text)); fault != nil {
		return fault.Reason
	}
	return ""
}

func TestTheProducersPageListsEveryFieldAndItsExamplesAreStored(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (required)? ?\\|")
	example := regexp.MustCompile("(?s)```json\n(.*?)```")
	page := producersPage(t)
	for _, kind := range Kinds() {
		section := page[kind.String()]
		require.Contains(t, section, "(../record/schema/"+kind.String()+".json)")
		var listed []field
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			listed = append(listed, field{name: m[1], required: m[2] != ""})
		}
		var want []field
		for _, f := range kind.fields() {
			want = append(want, field{name: f.name, required: f.required})
		}
		require.Equal(t, want, listed, kind)

		examples := example.FindAllStringSubmatch(section, -1)
		require.Len(t, examples, 1, kind)
		text := examples[0][1]
		require.Empty(t, reject(kind, text), text)
		require.NoError(t, compile(t, kind).check([]byte(text)), text)
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &fields))
		for _, f := range kind.fields() {
			require.Contains(t, fields, f.name, text)
		}
		require.Greater(t, len(fields), len(kind.fields()), "no field that is kept in extra")
	}
}

func TestTheProducersPageNamesTopicsAndTables(t *testing.T) {
	for _, kind := range Kinds() {
		require.Contains(t, producersPage(t)["Topic"], "| "+kind.String()+" | `TOPIC_"+strings.ToUpper(kind.Table())+"` | `"+kind.Topic()+"` | `"+kind.Table()+"` |\n")
	}
}

func TestTheProducersPageSaysWhyBadRecordsAreRejected(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| (log|metric|event) \\| `(.*)` \\| `([a-z_0-9]+)` \\|$").FindAllStringSubmatch(producersPage(t)["Bad records"], -1)
	require.Len(t, rows, strings.Count(producersPage(t)["Bad records"], "\n|")-2, "not | kind | `record` | `reason` |")
	for _, m := range rows {
		for _, kind := range Kinds() {
			if kind.String() == m[1] {
				require.Equal(t, Reason(m[3]), reject(kind, m[2]), m[2])
				require.Error(t, compile(t, kind).check([]byte(m[2])), m[2])
			}
		}
	}
}
