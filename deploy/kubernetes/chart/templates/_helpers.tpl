{{- define "ingest.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "ingest.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ingest.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "ingest.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "ingest.image" -}}
{{- $own := dig "image" "tag" "" .values }}
{{- $image := .root.Values.image }}
{{- if $own }}{{ $image.repository }}:{{ $own }}
{{- else if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ default .root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- /* What selects the pods of the release. */ -}}
{{- define "ingest.release" -}}
app.kubernetes.io/name: {{ include "ingest.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* What selects the pods of a program; it must never change. Call with root and program. */ -}}
{{- define "ingest.selector" -}}
{{ include "ingest.release" .root }}
app.kubernetes.io/component: {{ .program }}
{{- end }}

{{- define "ingest.labels" -}}
{{ include "ingest.selector" . }}
app.kubernetes.io/part-of: {{ include "ingest.name" .root }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "ingest.topics" -}}
{{- $c := .Values.config }}
{{- list (default "ai_backlog_logs" $c.TOPIC_LOGS) (default "ai_backlog_metrics" $c.TOPIC_METRICS) (default "ai_backlog_events" $c.TOPIC_EVENTS) | join " " }}
{{- end }}

{{- /* The ports of the three servers, and of a collector of traces, as config names them. */ -}}
{{- define "ingest.ports" -}}
{{- $c := mergeOverwrite (dict) .Values.config .Values.consumer.config .Values.worker.config }}
{{- $ports := list }}
{{- range splitList "," (default "localhost:9092" $c.KAFKA_SERVERS) }}
{{- $ports = append $ports (regexFind "[0-9]+$" .) }}
{{- end }}
{{- $clickhouse := default 9000 $c.CLICKHOUSE_PORT | int | toString }}
{{- range splitList "," (default "localhost" $c.CLICKHOUSE_HOST) }}
{{- $ports = append $ports (default $clickhouse (regexFind "[0-9]+$" (regexFind "^(\\[.*\\]|[^:]*):[0-9]+$" (trim .)))) }}
{{- end }}
{{- with $c.OTEL_EXPORTER_OTLP_ENDPOINT }}
{{- $host := (urlParse .).host }}
{{- $ports = append $ports (default (ternary "443" "80" (hasPrefix "https:" .)) (trimPrefix ":" (regexFind ":[0-9]+$" $host))) }}
{{- end }}
{{- $ports = append $ports (regexFind "[0-9]+$" (default "localhost:7233" $c.TEMPORAL_ADDRESS)) }}
{{- range .Values.networkPolicy.extraPorts }}{{ $ports = append $ports (toString .) }}{{ end }}
{{- $ports | uniq | sortAlpha | join "," }}
{{- end }}

{{- /* A program's environment: config, its own over it, then what the chart decides. Secrets come by envFrom. */ -}}
{{- define "ingest.env" -}}
{{- range $k, $v := mergeOverwrite (dict) .root.Values.config .values.config }}
- name: {{ $k }}
  {{- if and (kindIs "float64" $v) (eq (floor $v) $v) }}{{ $v = int64 $v }}{{ end }} {{- /* else 67108864 is 6.7108864e+07 */}}
  value: {{ $v | toString | quote }}
{{- end }}
- name: METRICS_ADDR
  value: ":9464"
{{- if eq .program "worker" }}
- name: WORKER_MEMORY_MIB
  value: {{ .values.memoryMiB | toString | quote }}
{{- else }}
- name: GOMEMLIMIT
  value: {{ .values.goMemoryLimit | quote }}
{{- end }}
{{- end }}

{{- define "ingest.pod" -}}
metadata:
  labels:
    {{- include "ingest.labels" . | nindent 4 }}
    {{- with .values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/secrets: {{ .root.Values.secrets | toJson | sha256sum }}
    {{- with .values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "ingest.serviceAccount" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: { type: RuntimeDefault }
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "ingest.selector" $ | nindent 10 }}
    {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .program }}
      image: {{ include "ingest.image" . | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: ["/usr/local/bin/{{ .program }}"]
      env: {{- include "ingest.env" . | nindent 8 }}
      {{- if or .root.Values.secrets.existing .root.Values.secrets.values }}
      envFrom:
        {{- if .root.Values.secrets.values }}
        - secretRef: { name: {{ include "ingest.fullname" .root }} }
        {{- end }}
        {{- with .root.Values.secrets.existing }}
        - secretRef: { name: {{ . }} }
        {{- end }}
      {{- end }}
      ports:
        - { name: metrics, containerPort: 9464, protocol: TCP }
      livenessProbe:
        httpGet: { path: /healthz, port: metrics }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        periodSeconds: 5
        timeoutSeconds: 5
      resources: {{- .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        privileged: false
        capabilities: { drop: [ALL] }
      {{- if .root.Values.tls.existing }}
      volumeMounts:
        - { name: tls, mountPath: /etc/ai-backlog/tls, readOnly: true }
      {{- end }}
  {{- with .root.Values.tls.existing }}
  volumes:
    - name: tls
      secret: { secretName: {{ . }}, defaultMode: 288 }
  {{- end }}
{{- end }}
