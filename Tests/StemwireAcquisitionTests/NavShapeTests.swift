import Testing

@testable import StemwireAcquisition

@Suite("Nav shape")
struct NavShapeTests {
    private func shape(
        _ shape: [Int]? = nil, frames: Int?, perTrigger: Int? = nil, scan: (y: Int, x: Int)? = nil,
        margins: ScanMargins = ScanMargins(), hook: NavShapeResolver.Hook? = nil
    ) throws(NavShapeError) -> ResolvedScan {
        try NavShapeResolver(shape: shape, hook: hook, margins: margins)
            .resolve(frameCount: frames, framesPerTrigger: perTrigger, scanX: scan?.x, scanY: scan?.y)
    }

    @Test(
        "placeholders are worked out",
        arguments: [
            ([-1, 17], 493, [29, 17]), ([-1, -1], 1, [1, 1]), ([-1, 1, -1], 1, [1, 1, 1]), ([-1, -1], 4096, [64, 64]),
            ([16, -1], 4096, [16, 256]), ([-1, 16, 16], 4096, [16, 16, 16]), ([4, -1, -1], 4096, [4, 32, 32]),
            ([-1, 4, -1], 64, [4, 4, 4]), ([-1], 77, [77]), ([-1, -1, 4], 64, [4, 4, 4]),
        ])
    func placeholders(given: [Int], frames: Int, expected: [Int]) throws {
        let scan = try shape(given, frames: frames)
        #expect(scan.geometry.navShape.dimensions == expected && scan.rule == .placeholders)
    }

    @Test("shapes that cannot be are errors that name the numbers")
    func errors() {
        #expect(throws: NavShapeError.empty) { try shape([], frames: 16) }
        #expect(throws: NavShapeError.notPositive([0, 4])) { try shape([0, 4], frames: 16) }
        #expect(throws: NavShapeError.notPositive([-2, 4])) { try shape([-2, 4], frames: 16) }
        #expect(throws: NavShapeError.tooManyPlaceholders([-1, -1, -1])) { try shape([-1, -1, -1], frames: 16) }
        #expect(throws: NavShapeError.notDivisible(shape: [-1, 5], frames: 16, margins: 0, unit: 5)) {
            try shape([-1, 5], frames: 16)
        }
        #expect(throws: NavShapeError.notSquare(shape: [-1, -1], frames: 15, remainder: 15)) {
            try shape([-1, -1], frames: 15)
        }
        #expect(throws: NavShapeError.notSquare(shape: [2, -1, -1], frames: 16, remainder: 8)) {
            try shape([2, -1, -1], frames: 16)
        }
        #expect(throws: NavShapeError.needsFrameCount([-1, 4])) { try shape([-1, 4], frames: 0) }
        #expect(throws: NavShapeError.noShape(frames: 15)) { try shape(frames: 15) }
        #expect(throws: NavShapeError.tooLarge([1 << 40, 1 << 40])) { try shape([1 << 40, 1 << 40], frames: 15) }
        #expect(throws: NavShapeError.tooLarge([1 << 20, 1 << 20])) { try shape([1 << 20, 1 << 20], frames: 15) }
        #expect("\(NavShapeError.notDivisible(shape: [-1, 5], frames: 16, margins: 1, unit: 5))".contains("16 frames"))
    }

    @Test("the order: argument, hook, placeholders, scan size, frames per trigger, square")
    func order() throws {
        let hook: NavShapeResolver.Hook = { _, hint in hint == nil ? [8, 2] : nil }
        #expect(
            try shape([2, 8], frames: 16, perTrigger: 8, scan: (1, 16), hook: { _, _ in [4, 4] }).rule == .argument)
        #expect(try shape(frames: 16, scan: (1, 16), hook: hook).geometry.navShape.dimensions == [8, 2])
        #expect(try shape([-1, 2], frames: 16, scan: (1, 16), hook: hook).rule == .placeholders)
        #expect(try shape(frames: 560, perTrigger: 28, scan: (20, 28)).rule == .scanSize)
        #expect(try shape(frames: 16, perTrigger: 8).geometry.navShape.dimensions == [2, 8])
        #expect(try shape(frames: 16, perTrigger: 1).rule == .square)
        #expect(try shape(frames: 16, perTrigger: 16).rule == .square)
        #expect(try shape(frames: 15, perTrigger: 15).geometry.navShape.dimensions == [1, 15])
        #expect(try shape(frames: 16, perTrigger: 5).geometry.navShape.dimensions == [4, 4])
        let misfit = try shape(frames: 16, scan: (3, 3))
        #expect(misfit.rule == .square && misfit.warnings.count == 1)
    }

    @Test("the hook's answer must be complete and fit")
    func hookErrors() {
        #expect(throws: NavShapeError.hookHasPlaceholder([-1, 4])) { try shape(frames: 16) { _, _ in [-1, 4] } }
        #expect(throws: NavShapeError.hookDisagrees(shape: [5, 4], needed: 20, frames: 16)) {
            try shape(frames: 16) { _, _ in [5, 4] }
        }
        #expect(throws: Never.self) {
            try shape(frames: 16) { count, hint in count == 16 && hint == nil ? [2, 8] : [] }
        }
    }

    @Test("a complete argument is used as it is, with a warning where it does not fit")
    func mismatch() throws {
        let larger = try shape([4, 5], frames: 16)
        #expect(larger.geometry.totalFrames == 20 && larger.warnings.count == 1)
        #expect(try shape([4, 4], frames: 16).warnings.isEmpty)
        #expect(try shape([4, 4], frames: 0).isEndless)
    }

    @Test("endless without a shape: the scan size, else windows")
    func endless() throws {
        #expect(try shape(frames: nil).geometry.navShape.dimensions == [4096])
        #expect(try shape(frames: 0, scan: (3, 5)).geometry.navShape.dimensions == [3, 5])
    }

    @Test("margins are taken off first, fly-back after the last line or not")
    func margins() throws {
        let margins = ScanMargins(leadIn: 3, flybackPerLine: 2, tail: 1)
        // 5 lines of 7 + 2 frames, 3 before, 1 behind; then the same without the last fly-back.
        for (frames, hasLast) in [(49, true), (47, false)] {
            let given: [([Int]?, Int?, (y: Int, x: Int)?)] = [
                ([-1, 7], nil, nil), ([5, -1], nil, nil), ([5, 7], nil, nil), (nil, nil, (5, 7)),
            ]
            for (argument, perTrigger, scan) in given {
                let found = try shape(argument, frames: frames, perTrigger: perTrigger, scan: scan, margins: margins)
                #expect(found.geometry.navShape.dimensions == [5, 7] && found.warnings.isEmpty)
                #expect(found.geometry.flybackAfterLastLine == hasLast && found.geometry.totalFrames == frames)
            }
        }
        #expect(try shape(frames: 49, perTrigger: 9, margins: margins).geometry.navShape.dimensions == [5, 7])
        // 6 · (6 + 2) + 4
        #expect(try shape([-1, -1], frames: 52, margins: margins).geometry.navShape.dimensions == [6, 6])
        #expect(try shape(frames: 52, margins: margins).rule == .square)
    }

    @Test("frame index and position are each other's inverse, and every frame has one place")
    func geometry() throws {
        let shapes = [[1], [7], [3, 4], [2, 3, 4], [5, 1]]
        for dimensions in shapes {
            for (leadIn, flyback, tail) in [(0, 0, 0), (2, 0, 0), (0, 3, 0), (1, 2, 3), (0, 0, 1)] {
                for hasLast in [true, false] {
                    let geometry = try ScanGeometry(
                        navShape: NavShape(dimensions),
                        margins: ScanMargins(leadIn: leadIn, flybackPerLine: flyback, tail: tail),
                        flybackAfterLastLine: hasLast)
                    var next = 0
                    var counts: [ScanGeometry.Place: Int] = [:]
                    for frame in 0..<geometry.totalFrames {
                        if case .position(let position) = geometry.place(ofFrame: frame) {
                            #expect(position == next && geometry.frame(ofPosition: position) == frame)
                            next += 1
                        } else {
                            counts[geometry.place(ofFrame: frame), default: 0] += 1
                        }
                    }
                    let lines = geometry.navShape.lineCount - (hasLast ? 0 : 1)
                    #expect(next == geometry.navShape.size)
                    #expect(counts[.leadIn, default: 0] == leadIn && counts[.tail, default: 0] == tail)
                    #expect(counts[.flyback, default: 0] == flyback * lines && counts[.beyond] == nil)
                    #expect(geometry.place(ofFrame: -1) == .beyond)
                    #expect(geometry.place(ofFrame: geometry.totalFrames) == .beyond)
                }
            }
        }
    }
}
