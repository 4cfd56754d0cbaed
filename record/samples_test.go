package record

import (
	"fmt"
	"strings"
)

const (
	goodLog = `{"timestamp":"2026-09-18T05:43:03.000001+02:00","level":"info","message":"Gr\u00fc\u00dfe \ud83d\ude00 \"x\"\n","event_id":"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6",` +
		`"service":"checkout","agent_id":"a-1","trace_id":"t","span_id":"s","attributes":{"a":"b","n":1.50e3,"t":true,"f":false},"x":{"y":[1, null]},"z":null}`
	goodMetric = `{"timestamp":1758175383.25,"name":"queue.depth","value":-12.5e-3,"event_id":"0198F3C1-7A2B-7C3D-8E4F-A1B2C3D4E5F6",` +
		`"unit":"ms","service":"checkout","agent_id":"a-1","tags":{"region":"eu-central-1","shard":7},"host":"h"}`
	goodEvent = `{"timestamp":1758175383250,"type":"task.done","event_id":"0198f3c1-7a2b-7c3d-8e4f-a1b2c3d4e5f6","service":"checkout","agent_id":"a-1",` +
		`"task_id":"k","trace_id":"t","payload":{"steps":[{"tool":"grep","ms":12},{"tool":"edit","ms":3}],"ok":true},"extra":"e"}`
)

// full has every field, and unknown ones.
func full(kind Kind) string {
	switch kind {
	case Log:
		return goodLog
	case Metric:
		return goodMetric
	default:
		return goodEvent
	}
}

// minimal is the required fields alone.
func minimal(kind Kind) string {
	switch kind {
	case Log:
		return `{"timestamp":0,"level":"","message":""}`
	case Metric:
		return `{"timestamp":0,"name":"","value":0}`
	default:
		return `{"timestamp":0,"type":""}`
	}
}

// with is the minimal record with more members in front of its own.
func with(kind Kind, members string) string { return "{" + members + "," + minimal(kind)[1:] }

// replace is the minimal record with the field set to the value.
func replace(kind Kind, field, value string) string {
	var members []string
	for _, f := range kind.fields() {
		switch {
		case f.name == field || f.name+"s" == field:
			members = append(members, fmt.Sprintf("%q:%s", field, value))
		case f.shape == wordShape && f.required || f.shape == textShape && f.required:
			members = append(members, fmt.Sprintf(`%q:""`, f.name))
		case f.required:
			members = append(members, fmt.Sprintf(`%q:0`, f.name))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// manyKeys is the minimal record with n unknown fields, and an object that has
// as many keys and more.
func manyKeys(kind Kind, n int, more ...string) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf(`"k%d":%d`, i, i))
	}
	return with(kind, strings.Join(keys, ",")+`,"in":{`+strings.Join(append(keys, more...), ",")+`}`)
}

// nested is n arrays inside each other.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
