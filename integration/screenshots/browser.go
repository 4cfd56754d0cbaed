package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	width = 1300 // what a page of documentation shows without shrinking letters too much
	wide  = 1800 // what shows whole command lines
	// pageTimeout bounds one picture. A page is there in two seconds; a first
	// start of the browser on a busy machine takes longer.
	pageTimeout = time.Minute
)

// programs are the names of the browser, in the order to try.
var programs = []string{"chromium", "chromium-browser", "google-chrome"}

func findBrowser() (string, error) {
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no browser: install chromium (Debian: apt-get install chromium), or google-chrome")
}

// open starts a headless browser with a profile of its own, and answers the
// context that it is driven by.
func open(ctx context.Context, dir string) (context.Context, func(), error) {
	program, err := findBrowser()
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.WindowSize(width, width),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-dev-shm-usage", true),
	)
	ctx, end := chromedp.NewContext(ctx)
	done := func() { end(); stop() }
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context that starts it
		done()
		return nil, nil, fmt.Errorf("start %s: %w", program, err)
	}
	return ctx, done, nil
}

// settings are what the UI keeps in the browser's local storage when somebody
// sets it up by hand, as docs/operations.md says.
func settings() map[string]any {
	var columns []map[string]string
	for _, c := range []string{"IngestState", "IngestTopic", "IngestRecords", "IngestError", "Start", "Workflow ID"} {
		columns = append(columns, map[string]string{"label": c})
	}
	return map[string]any{
		"namespace-workflow-table-columns": map[string]any{"default": columns},
		"saved-workflow-queries":           map[string]any{"default": []map[string]string{{"id": "trouble", "name": "Trouble", "query": trouble, "type": "user"}}},
		"tableDensity":                     "comfortable",
		"timeFormat":                       "UTC",
		"timeFormatType":                   "absolute",
		"timestampFormat":                  "short",
		"navOpen":                          false,
		"savedQueryNavOpen":                true,
	}
}

// setUp puts the settings where the UI reads them at its next page.
func setUp(ctx context.Context, ui string) error {
	steps := []chromedp.Action[chromedp.Void]{chromedp.Navigate(ui + "/healthz")}
	for key, value := range settings() {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		steps = append(steps, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("localStorage.setItem(%q, %q)", key, text)))
	}
	return do(ctx, steps...)
}

// take opens a page, waits until it shows what it has to, and writes what is to be seen.
func take(ctx context.Context, page, shows string, width, height int64, file string) error {
	err := do(ctx,
		chromedp.EmulateViewport(width, height),
		chromedp.Navigate(page),
		chromedp.Poll[chromedp.Void](shows, chromedp.WithPollingInterval(100*time.Millisecond), chromedp.WithPollingTimeout(pageTimeout/2)),
		chromedp.Sleep(time.Second), // animations
		func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
			png, err := chromedp.CaptureScreenshot()(ctx, t)
			if err != nil {
				return none, err
			}
			return none, os.WriteFile(file, png, 0o644) //nolint:gosec // a picture for everybody
		},
	)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return nil
}

func do(ctx context.Context, steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}
