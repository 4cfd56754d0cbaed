// Package settings reads a program's configuration from environment variables and tells every problem at once, each by the name of
// its variable and with what to do.
package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/caarlos0/env/v11"
)

// Read fills cfg, a pointer to a struct with env tags. A variable that is empty counts as unset. One that does not parse is a
// problem and has its default in cfg, so that what else is wrong can be told with it.
func Read(cfg any) error {
	vars := env.ToMap(os.Environ())
	err := env.ParseWithOptions(cfg, env.Options{Environment: vars})
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var errs []error
	for _, e := range all.Errors {
		var p env.ParseError
		name := ""
		if errors.As(e, &p) {
			name = variable(reflect.TypeOf(cfg).Elem(), p.Name, p.Type)
		}
		if name == "" {
			return err
		}
		errs = append(errs, fmt.Errorf("%s is %q: give a %s", name, vars[name], words[p.Type]))
		delete(vars, name)
	}
	return errors.Join(append(errs, env.ParseWithOptions(cfg, env.Options{Environment: vars}))...)
}

// variable is the one that the field is read from, in the struct or those inside it.
func variable(in reflect.Type, field string, kind reflect.Type) string {
	for f := range in.Fields() {
		if name := f.Tag.Get("env"); name != "" && f.Name == field && f.Type == kind {
			return name
		}
		if f.Type.Kind() == reflect.Struct {
			if name := variable(f.Type, field, kind); name != "" {
				return name
			}
		}
	}
	return ""
}

// words say what a value of the type looks like.
var words = map[reflect.Type]string{
	reflect.TypeFor[int]():           "number",
	reflect.TypeFor[int32]():         "number",
	reflect.TypeFor[int64]():         "number",
	reflect.TypeFor[uint64]():        "number, not negative",
	reflect.TypeFor[bool]():          "value: true or false",
	reflect.TypeFor[time.Duration](): "duration, like 1s",
	reflect.TypeFor[slog.Level]():    "level: debug, info, warn or error",
}

// MetricsAddr is nil for an address that METRICS_ADDR may have.
func MetricsAddr(addr string) error {
	if addr == "off" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return fmt.Errorf("METRICS_ADDR is %q: give host:port, or off", addr)
	}
	return nil
}
