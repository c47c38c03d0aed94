// Checks dashboards against the types that Grafana generates from its schema: unknown fields, missing fields and wrong types
// are findings, also in the options of the panels and in their queries. Usage: dashboards FILE…
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	findings := 0
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err == nil {
			var found dashboard.Dashboard
			err = found.UnmarshalJSONStrict(text)
			// Without findings, the library returns an empty list of errors.
			var errs cog.BuildErrors
			if errors.As(err, &errs) && len(errs) == 0 {
				err = nil
			}
		}
		if err != nil {
			findings++
			fmt.Printf("%s: %v\n", path, err)
		}
	}
	if findings > 0 || len(os.Args) == 1 {
		os.Exit(1)
	}
	fmt.Printf("%d dashboards match the schema\n", len(os.Args)-1)
}
