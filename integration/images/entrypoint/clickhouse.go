package main

import (
	"errors"
	"os"
)

// clickHouse serves out of libchdb what the file in CLICKHOUSE_CONFIG says, as the official image does.
func clickHouse() error {
	config := os.Getenv("CLICKHOUSE_CONFIG")
	if config == "" {
		return errors.New("CLICKHOUSE_CONFIG is empty: name a config.xml that is mounted")
	}
	if err := holdStdin(); err != nil {
		return err
	}
	return become("/usr/bin/launcher", "-lib", "/usr/lib/libchdb.so", "-config", config)
}
