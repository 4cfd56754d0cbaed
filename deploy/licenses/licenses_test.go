package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheListOfLicencesIsOfWhatIsLinked(t *testing.T) {
	want, err := list(t.Context(), "../..")
	require.NoError(t, err)
	have, err := os.ReadFile("../../docs/licenses.md")
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "make licenses writes it")
}

func TestALicenceThatAsksForMoreIsRefused(t *testing.T) {
	gpl := "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by " +
		"the Free Software Foundation, either version 3 of the License, or (at your option) any later version."
	for text, want := range map[string]string{gpl: "GPL-3.0-or-later is not among", "All rights reserved.": "no licence that is known"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(text), 0o600))
		ids, err := licencesOf(dir)
		require.NoError(t, err)
		require.ErrorContains(t, refused(ids), want)
	}
	require.NoError(t, refused([]string{"MIT"}))
	require.ErrorContains(t, refused([]string{"MIT", "GPL-3.0"}), "GPL-3.0 is not among")
}
