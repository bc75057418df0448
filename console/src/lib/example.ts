import type { Json } from "./diff";

interface Schema {
  type?: string | string[];
  properties?: Record<string, unknown>;
  required?: string[];
  items?: unknown;
  enum?: Json[];
  const?: Json;
  default?: Json;
  examples?: Json[];
  format?: string;
  minimum?: number;
  anyOf?: unknown[];
  oneOf?: unknown[];
  $ref?: string;
  $defs?: Record<string, unknown>;
}

/** Schemas may refer to themselves. */
const DEPTH_MAX = 8;

/** A value that fits a JSON Schema in most cases: a beginning for whoever writes one. */
export function exampleOf(schema: unknown): Json {
  return make(schema, isSchema(schema) ? schema : {}, 0);
}

function make(schema: unknown, root: Schema, depth: number): Json {
  if (!isSchema(schema) || depth > DEPTH_MAX) return null;
  const given = schema.examples?.[0] ?? schema.default ?? schema.const ?? schema.enum?.[0];
  if (given !== undefined) return given;
  if (schema.$ref) return make(resolve(schema.$ref, root), root, depth + 1);
  const choice = schema.oneOf?.[0] ?? schema.anyOf?.[0];
  if (choice !== undefined) return make(choice, root, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : (schema.type ?? (schema.properties ? "object" : undefined));
  switch (type) {
    case "object":
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([name]) => depth === 0 || !schema.required || schema.required.includes(name))
          .map(([name, property]) => [name, make(property, root, depth + 1)]),
      );
    case "array":
      return schema.items === undefined ? [] : [make(schema.items, root, depth + 1)];
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "boolean":
      return false;
    case "string":
      return textOf(schema.format);
    default:
      return null;
  }
}

function textOf(format: string | undefined): string {
  switch (format) {
    case "date-time":
      return "2026-01-01T00:00:00Z";
    case "date":
      return "2026-01-01";
    case "email":
      return "ada@example.com";
    case "uuid":
      return "00000000-0000-4000-8000-000000000000";
    case "uri":
      return "https://example.com/";
    default:
      return "text";
  }
}

function resolve(reference: string, root: Schema): unknown {
  const name = /^#\/\$defs\/(.+)$/.exec(reference)?.[1];
  return name ? root.$defs?.[name] : reference === "#" ? root : undefined;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null;
}
