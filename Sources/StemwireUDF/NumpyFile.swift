import Glibc
import StemwireKernels

/// NumPy's `.npy` format: one array in a file. <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>
///
/// Written are version 1.0 (2.0 where the header is longer than 65,535 bytes), little-endian, C order. Read are
/// versions 1 to 3, little-endian, C and Fortran order, of the types that `DType` has.
public enum NumpyFile {
    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    /// The bytes in front of an array's own in a file.
    public static func header(dtype: DType, shape: [Int]) -> [UInt8] {
        let axes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var text = "{'descr': '\(dtype.numpyDescription)', 'fortran_order': False, 'shape': (\(axes)), }"
        let isLong = text.utf8.count + 64 > Int(UInt16.max)
        let lengthBytes = isLong ? 4 : 2
        let prefix = magic.count + 2 + lengthBytes
        // The array begins at a multiple of 64 bytes, behind a line feed.
        let padding = 63 - (prefix + text.utf8.count) % 64
        text += String(repeating: " ", count: padding) + "\n"
        var bytes = magic + [isLong ? 2 : 1, 0]
        for index in 0..<lengthBytes { bytes.append(UInt8(truncatingIfNeeded: text.utf8.count >> (8 * index))) }
        return bytes + Array(text.utf8)
    }

    /// The bytes of a file with this array.
    public static func encode(_ array: ResultArray) -> [UInt8] {
        header(dtype: array.dtype, shape: array.shape) + array.withUnsafeBytes { Array($0) }
    }

    /// The array of a file's bytes.
    ///
    /// - Throws: `NumpyFileError` when they are none that can be read here.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(NumpyFileError) -> ResultArray {
        guard bytes.count >= 10, bytes.prefix(6).elementsEqual(magic) else {
            throw NumpyFileError("it is not a .npy file")
        }
        let lengthBytes = bytes[6] == 1 ? 2 : 4
        guard (1...3).contains(bytes[6]), bytes.count >= 8 + lengthBytes else {
            throw NumpyFileError("it is a .npy file of the unknown version \(bytes[6])")
        }
        var length = 0
        for index in 0..<lengthBytes { length |= Int(bytes[8 + index]) << (8 * index) }
        let start = 8 + lengthBytes
        guard length <= bytes.count - start else { throw NumpyFileError("the file ends within its header") }
        let text = String(decoding: bytes[start..<start + length], as: UTF8.self)
        let header = try NumpyHeader(text)
        let data = UnsafeRawBufferPointer(rebasing: bytes[(start + length)...])
        guard let count = elementCount(header.shape), count <= data.count / header.dtype.byteCount else {
            throw NumpyFileError(
                "an array of \(header.dtype) \(header.shape) cannot consist of the \(data.count) bytes behind the header"
            )
        }
        let own = UnsafeRawBufferPointer(rebasing: data[..<(count * header.dtype.byteCount)])
        do {
            let shape = header.isFortran ? header.shape.reversed() : header.shape
            let array = try ResultArray(dtype: header.dtype, shape: shape, bytes: own)
            return header.isFortran ? transposed(array) : array
        } catch {
            throw NumpyFileError("\(error)")
        }
    }

    /// Writes an array to a file; an existing one is replaced in one step.
    ///
    /// - Throws: `NumpyFileError` with the path and the system's reason.
    public static func write(_ array: ResultArray, to path: String) throws(NumpyFileError) {
        let temporary = path + ".part"
        guard let file = fopen(temporary, "wb") else { throw .system("write", path) }
        let header = header(dtype: array.dtype, shape: array.shape)
        let isWritten =
            header.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) } == header.count
            && array.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) } == array.byteCount
        let reason = errno
        guard fclose(file) == 0 && isWritten else {
            if !isWritten { errno = reason }
            let failure = NumpyFileError.system("write", path)
            unlink(temporary)
            throw failure
        }
        guard rename(temporary, path) == 0 else {
            let failure = NumpyFileError.system("write", path)
            unlink(temporary)
            throw failure
        }
    }

    /// Reads the array of a file.
    ///
    /// - Parameter largest: The size in bytes above which a file is refused, before memory is taken for it.
    /// - Throws: `NumpyFileError` with the path and what is wrong.
    public static func read(_ path: String, largest: Int = .max) throws(NumpyFileError) -> ResultArray {
        // A pipe would be waited for, and a folder has a size that no memory has.
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system("read", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw NumpyFileError("\(path) is not a file") }
        guard status.st_size <= largest else {
            throw NumpyFileError("\(path) has \(status.st_size) bytes; at most \(largest) are read")
        }
        guard let file = fopen(path, "rb") else { throw .system("read", path) }
        defer { fclose(file) }
        guard fseek(file, 0, SEEK_END) == 0, case let size = ftell(file), size >= 0, fseek(file, 0, SEEK_SET) == 0
        else { throw .system("read", path) }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer { memory.deallocate() }
        guard fread(memory.baseAddress, 1, size, file) == size else { throw .system("read", path) }
        do {
            return try decode(UnsafeRawBufferPointer(memory))
        } catch {
            throw NumpyFileError("\(path): \(error)")
        }
    }

    /// The array with its axes in reverse order.
    private static func transposed(_ array: ResultArray) -> ResultArray {
        let shape = Array(array.shape.reversed())
        let size = array.dtype.byteCount
        var result = ResultArray(zeros: array.dtype, shape: shape)
        // How far apart, in elements of the source, neighbours on each axis of the result are.
        var strides: [Int] = []
        for axis in shape.indices { strides.append(shape[..<axis].reduce(1, *)) }
        array.withUnsafeBytes { source in
            result.withUnsafeMutableBytes { target in
                var indices = Array(repeating: 0, count: shape.count)
                for element in 0..<array.count {
                    let from = zip(indices, strides).reduce(0) { $0 + $1.0 * $1.1 }
                    for byte in 0..<size { target[element * size + byte] = source[from * size + byte] }
                    for axis in shape.indices.reversed() {
                        indices[axis] += 1
                        if indices[axis] < shape[axis] { break }
                        indices[axis] = 0
                    }
                }
            }
        }
        return result
    }
}

/// What a `.npy` header says: a Python dictionary in a narrow form.
private struct NumpyHeader {
    let dtype: DType
    let isFortran: Bool
    let shape: [Int]

    init(_ text: String) throws(NumpyFileError) {
        guard let description = Self.value("descr", text)?.split(separator: text.contains("\"") ? "\"" : "'").first
        else {
            throw NumpyFileError("its header does not tell the type of the numbers")
        }
        guard let dtype = DType(numpyDescription: description) else {
            throw NumpyFileError(
                "numbers of the type \(description) cannot be read; write them as little-endian, such as '<f4'")
        }
        guard let order = Self.value("fortran_order", text) else {
            throw NumpyFileError("its header does not tell the order of the axes")
        }
        guard let axes = Self.value("shape", text), axes.hasPrefix("("), let end = axes.firstIndex(of: ")") else {
            throw NumpyFileError("its header does not tell the shape")
        }
        var shape: [Int] = []
        for item in axes[axes.index(after: axes.startIndex)..<end].split(separator: ",") {
            let digits = item.filter { $0 != " " }
            if digits.isEmpty { continue }
            guard let size = Int(digits), size >= 0 else { throw NumpyFileError("\(item) is no size of an axis") }
            shape.append(size)
        }
        self.dtype = dtype
        self.shape = shape
        isFortran = order.hasPrefix("True")
    }

    /// The text behind `'key':`.
    private static func value(_ key: String, _ text: String) -> Substring? {
        for quote in ["'", "\""] {
            guard let start = text.firstOccurrence(of: quote + key + quote) else { continue }
            let rest = text[start...].drop { $0 == " " }
            guard rest.first == ":" else { return nil }
            return rest.dropFirst().drop { $0 == " " }
        }
        return nil
    }
}

extension String {
    /// The index behind the first occurrence of `other`.
    fileprivate func firstOccurrence(of other: String) -> Index? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return index(start, offsetBy: other.count) }
            start = index(after: start)
        }
        return nil
    }
}

/// Why a `.npy` file could not be read or written.
public struct NumpyFileError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }

    fileprivate static func system(_ verb: String, _ path: String) -> NumpyFileError {
        NumpyFileError("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
