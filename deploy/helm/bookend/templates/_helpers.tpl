{{/* The prefix of all names: that of the release, with `bookend` if the release lacks it. */}}
{{- define "bookend.fullname" -}}
{{- if contains "bookend" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-bookend{{ end }}
{{- end }}

{{/* The labels that select the pods of this release. */}}
{{- define "bookend.selector" -}}
app.kubernetes.io/name: bookend
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bookend.labels" -}}
{{ include "bookend.selector" . }}
app.kubernetes.io/part-of: bookend
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The labels of a pod: none that changes with the chart, so that a new chart alone restarts nothing. */}}
{{- define "bookend.podLabels" -}}
{{ include "bookend.selector" .root }}
app.kubernetes.io/part-of: bookend
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "bookend.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The settings as variables. They are in the pod and not in a ConfigMap: a change causes a rollout, and the hook needs no
object that does not exist yet.
*/}}
{{- define "bookend.settings" -}}
{{- $settings := dict }}
{{- if eq .Values.shape "separate" }}
{{- $_ := set $settings "BOOKEND_KAFKA_BROKERS" .Values.kafka.brokers }}
{{- $_ := set $settings "BOOKEND_CASSANDRA_NODES" .Values.cassandra.nodes }}
{{- end }}
{{- range $name, $value := mustMerge (deepCopy .Values.settings) $settings }}
- {name: {{ $name }}, value: {{ toString $value | quote }}}
{{- end }}
{{- end }}

{{/* The fields of every pod that do not depend on its component. */}}
{{- define "bookend.podDefaults" -}}
automountServiceAccountToken: false
# Otherwise a Service named bookend-… would set variables in every pod that Bookend reads as settings.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  {{- if eq .Values.shape "one-process" }}
  # The volume belongs to this group.
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "bookend.containerDefaults" -}}
image: {{ include "bookend.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* /livez responds while the process waits for Kafka or Cassandra; /readyz does not succeed before they are usable. */}}
{{- define "bookend.probes" -}}
ports:
  - {name: http, containerPort: 5000}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  failureThreshold: 90
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{/*
The mounts of a container, and the volumes of its pod. Whole directories: a subPath would be a copy made at the start, and
a revoked key would stay valid.
*/}}
{{- define "bookend.mounts" -}}
{{- if .keys }}
- {name: keys, mountPath: /etc/bookend/keys, readOnly: true}
{{- end }}
- {name: secrets, mountPath: /etc/bookend/secrets, readOnly: true}
{{- end }}

{{- define "bookend.volumes" -}}
{{- if .keys }}
- name: keys
  secret: {secretName: {{ .root.Values.keys }}}
{{- end }}
- name: secrets
  secret: {secretName: {{ .root.Values.secrets }}, optional: true}
{{- end }}
