// Whether the code says in comments what it is to say.
import { isNode, type Node, parse, type SourceFile } from './architecture.ts';

const FUNCTION = /^(FunctionDeclaration|TSDeclareFunction)$/;

/** Exported functions with nothing said before them; the overloads of one have one comment. */
export function checkDocs(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    let end = 0;
    let told = false;
    return (parse(file)['body'] as Node[]).flatMap((node) => {
      const between = file.text.slice(end, node.start);
      end = node.end;
      const declaration = node['declaration'];
      const isFunction = isNode(declaration) && FUNCTION.test(declaration.type);
      told = isFunction && (between.includes('/**') || (told && between.trim() === ''));
      if (!isFunction || told) return [];
      return [`${file.path}: ${file.text.slice(node.start, node.end).split('\n')[0]} has no comment`];
    });
  });
}
