{{/* What every container of the chart shares: the server, its init containers and the migrating Job. */}}
{{- define "portcullis.container" -}}
image: {{ include "portcullis.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: ["portcullis"]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
{{- end -}}

{{/* Settings: dict "root" $ "database" <the value that names the Secret with the URL> */}}
{{- define "portcullis.env" -}}
{{- with .root -}}
- name: PORTCULLIS_LOG
  value: {{ .Values.log | quote }}
- name: PORTCULLIS_LOG_FORMAT
  value: {{ .Values.logFormat }}
- name: PORTCULLIS_DRAIN
  value: {{ printf "%ds" (int .Values.drainSeconds) | quote }}
{{- with .Values.otlpEndpoint }}
- name: PORTCULLIS_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- if .Values.otlpHeaders.secretName }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.otlpHeaders.secretName }}
      key: {{ .Values.otlpHeaders.key }}
{{- end }}
{{- end }}
{{- if eq .root.Values.database.engine "postgresql" }}
- name: PORTCULLIS_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .database.secretName }}
      key: {{ .database.key }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "portcullis.mailEnv" -}}
{{- with .Values.smtp -}}
{{- if .url -}}
- name: PORTCULLIS_SMTP_URL
  value: {{ .url | quote }}
- name: PORTCULLIS_SMTP_FROM
  value: {{ .from | quote }}
{{- if .secretName }}
- name: PORTCULLIS_SMTP_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .secretName }}
      key: {{ .key }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.dataMounts" -}}
- name: data
  mountPath: {{ include "portcullis.dataDir" . }}
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "portcullis.databaseCaMount" -}}
- name: database-ca
  mountPath: /etc/portcullis/database
  readOnly: true
{{- end -}}

{{/* Octal 0440: for the group that fsGroup names. */}}
{{- define "portcullis.databaseCaVolume" -}}
- name: database-ca
  secret:
    secretName: {{ .Values.database.caSecretName }}
    defaultMode: 288
    items:
      - key: {{ .Values.database.caKey }}
        path: {{ .Values.database.caKey }}
{{- end -}}

{{/* A probe: dict "root" $ "values" <probe> "path" <of the admin port> "service" <gRPC service, or empty for the process as a whole> */}}
{{- define "portcullis.probe" -}}
{{- if .root.Values.admin.enabled -}}
httpGet:
  path: {{ .path }}
  port: admin
{{- else -}}
exec:
  command:
    - portcullis
    - health
    - --endpoint
    - https://127.0.0.1:50051
    {{- with .root.Values.tls.caKey }}
    - --ca-cert
    - /etc/portcullis/tls/{{ . }}
    {{- end }}
    - --server-name
    - {{ include "portcullis.serverName" .root }}
    {{- with .service }}
    - --service
    - {{ . }}
    {{- end }}
{{- end }}
{{ toYaml .values }}
{{- end -}}
