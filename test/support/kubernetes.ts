// What Kubernetes, kustomize and the Prometheus operator take in the manifests of deploy/, from their API references: the part of
// each kind that is of use here, in full depth. A key that is not here is an error, as `kubectl apply --validate=strict` has it.
import * as z from 'zod';

const text = z.string();
const whole = z.int();
const flag = z.boolean();
const texts = z.record(text, text);
const quantity = z.union([text, z.number()]);
const portOrName = z.union([whole, text]);

/** All members may be missing: a patch has a few of them. */
const part = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape).partial();

const metadata = part({ name: text, namespace: text, labels: texts, annotations: texts });
const labelSelector = part({ matchLabels: texts });

/** A manifest of one kind; `name` is what no object can do without. */
const manifest = <T extends z.core.$ZodLooseShape>(apiVersion: string, kind: string, beside: T) =>
  z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: metadata.required({ name: true }),
    ...beside,
  });

const servicePort = part({ name: text, protocol: text, port: whole, targetPort: portOrName, nodePort: whole });

const SERVICE = manifest('v1', 'Service', {
  spec: part({
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']),
    clusterIP: text,
    publishNotReadyAddresses: flag,
    externalTrafficPolicy: z.enum(['Cluster', 'Local']),
    selector: texts,
    ports: z.array(servicePort.required({ port: true })),
  }),
});

const probe = part({
  httpGet: part({ path: text, port: portOrName, scheme: z.enum(['HTTP', 'HTTPS']) }).required({ port: true }),
  initialDelaySeconds: whole,
  periodSeconds: whole,
  timeoutSeconds: whole,
  successThreshold: whole,
  failureThreshold: whole,
});

const resources = part({ cpu: quantity, memory: quantity, 'ephemeral-storage': quantity });

const container = part({
  image: text,
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  command: z.array(text),
  args: z.array(text),
  env: z.array(z.strictObject({ name: text, value: text })),
  ports: z.array(z.strictObject({ name: text.max(15), containerPort: whole })),
  lifecycle: part({ preStop: part({ sleep: z.strictObject({ seconds: whole }) }) }),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  resources: part({ requests: resources, limits: resources }),
  securityContext: part({
    allowPrivilegeEscalation: flag,
    readOnlyRootFilesystem: flag,
    runAsNonRoot: flag,
    runAsUser: whole,
    capabilities: part({ add: z.array(text), drop: z.array(text) }),
  }),
  volumeMounts: z.array(part({ subPath: text, readOnly: flag }).extend({ name: text, mountPath: text })),
}).extend({ name: text });

const volume = part({
  configMap: part({ name: text, optional: flag }),
  secret: part({ secretName: text, optional: flag }),
  emptyDir: part({ medium: text, sizeLimit: quantity }),
}).extend({ name: text });

const podSpec = part({
  terminationGracePeriodSeconds: whole,
  automountServiceAccountToken: flag,
  serviceAccountName: text,
  securityContext: part({
    runAsNonRoot: flag,
    runAsUser: whole,
    fsGroup: whole,
    seccompProfile: z.strictObject({ type: z.enum(['RuntimeDefault', 'Unconfined', 'Localhost']) }),
    sysctls: z.array(z.strictObject({ name: text, value: text })),
  }),
  topologySpreadConstraints: z.array(
    z.strictObject({
      maxSkew: whole,
      topologyKey: text,
      whenUnsatisfiable: z.enum(['DoNotSchedule', 'ScheduleAnyway']),
      labelSelector,
    }),
  ),
  containers: z.array(container),
  volumes: z.array(volume),
});

const DEPLOYMENT = manifest('apps/v1', 'Deployment', {
  spec: part({
    replicas: whole,
    revisionHistoryLimit: whole,
    selector: labelSelector,
    strategy: part({
      type: z.enum(['RollingUpdate', 'Recreate']),
      rollingUpdate: part({ maxSurge: portOrName, maxUnavailable: portOrName }),
    }),
    template: part({ metadata: part({ labels: texts, annotations: texts }), spec: podSpec }),
  }),
});

const scalingPolicy = z.strictObject({ type: z.enum(['Pods', 'Percent']), value: whole, periodSeconds: whole });
const scaling = part({ stabilizationWindowSeconds: whole, policies: z.array(scalingPolicy), selectPolicy: text });
const target = part({
  type: z.enum(['Utilization', 'Value', 'AverageValue']),
  averageValue: quantity,
  averageUtilization: whole,
}).required({ type: true });

const AUTOSCALER = manifest('autoscaling/v2', 'HorizontalPodAutoscaler', {
  spec: z.strictObject({
    scaleTargetRef: z.strictObject({ apiVersion: text, kind: text, name: text }),
    minReplicas: whole,
    maxReplicas: whole,
    metrics: z.array(
      z.discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('Pods'),
          pods: z.strictObject({ metric: z.strictObject({ name: text }), target }),
        }),
        z.strictObject({ type: z.literal('Resource'), resource: z.strictObject({ name: text, target }) }),
      ]),
    ),
    behavior: part({ scaleUp: scaling, scaleDown: scaling }),
  }),
});

const policyPeer = part({ podSelector: labelSelector, namespaceSelector: labelSelector });
const policyPort = part({ protocol: z.enum(['TCP', 'UDP', 'SCTP']), port: portOrName });

const KINDS = {
  ConfigMap: manifest('v1', 'ConfigMap', { data: texts }),
  Service: SERVICE,
  Deployment: DEPLOYMENT,
  HorizontalPodAutoscaler: AUTOSCALER,
  PodDisruptionBudget: manifest('policy/v1', 'PodDisruptionBudget', {
    spec: part({ minAvailable: portOrName, maxUnavailable: portOrName, selector: labelSelector }),
  }),
  NetworkPolicy: manifest('networking.k8s.io/v1', 'NetworkPolicy', {
    spec: part({
      podSelector: labelSelector,
      policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
      ingress: z.array(part({ from: z.array(policyPeer), ports: z.array(policyPort) })),
    }),
  }),
  ServiceMonitor: manifest('monitoring.coreos.com/v1', 'ServiceMonitor', {
    spec: part({
      selector: labelSelector,
      endpoints: z.array(
        part({
          port: text,
          path: text,
          interval: text,
          relabelings: z.array(
            part({ sourceLabels: z.array(text), targetLabel: text, replacement: text, action: text }),
          ),
        }),
      ),
    }),
  }),
  Kustomization: part({
    resources: z.array(text),
    configMapGenerator: z.array(part({ behavior: text, files: z.array(text) }).extend({ name: text })),
    generatorOptions: part({ disableNameSuffixHash: flag, labels: texts, annotations: texts }),
    patches: z.array(part({ path: text, patch: text, target: part({ kind: text, name: text }) })),
    images: z.array(part({ newName: text, newTag: text }).extend({ name: text })),
  }).extend({ apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'), kind: z.literal('Kustomization') }),
} as const;

/** What is wrong with a manifest, each at its path; empty where nothing is. */
export function faultsOfManifest(manifest: unknown): string[] {
  const kind = (manifest as { kind?: unknown } | null)?.kind;
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) return [`kind: ${String(kind)} is not known`];
  const { error } = KINDS[kind as keyof typeof KINDS].safeParse(manifest);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}
