export function bundle(...modules: string[]): Promise<string[]>;
